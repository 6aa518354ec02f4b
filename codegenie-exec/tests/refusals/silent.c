/* Makes system calls that the sandbox refuses, and prints only their results. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *what, long result) { printf("%s %d\n", what, result < 0 ? errno : 0); }

static void once(void) {
    int pair[2], pid;
    errno = 0;
    say("unshare", unshare(CLONE_NEWUTS));
    say("keyctl", syscall(SYS_keyctl, 0, -3, 0));
    say("packet", socket(AF_PACKET, SOCK_RAW, 0));
    say("vsock", socket(40, SOCK_STREAM, 0));
    say("dccp", socket(AF_INET, 6, 0));
    say("sequence", socket(AF_INET6, SOCK_SEQPACKET, 0));
    say("sctp", socket(AF_INET, SOCK_STREAM, 132));
    say("uevents", socket(AF_NETLINK, SOCK_RAW, 15));
    say("pair", socketpair(AF_INET, SOCK_STREAM, 0, pair));
    say("tiocsti", ioctl(0, 0x5412, "x"));
    say("tiocsti again", ioctl(0, 0x5412, "x"));
    close(creat("made", 0755));
    say("chmod", chmod("made", 04755));
    say("clone", pid = syscall(SYS_clone, CLONE_NEWUTS | SIGCHLD, 0, 0, 0, 0));
    if (pid == 0) _exit(0);
}

static void *many(void *count) {
    long other = 0;
    for (long i = 0; i < (long)count; i++) {
        if (syscall(SYS_keyctl, 0, -3, i) != -1 || errno != EPERM) other++;
        if (socket(100 + i % 300, SOCK_STREAM, 0) != -1 || errno != EAFNOSUPPORT) other++;
    }
    return (void *)other;
}

/* From several processes of two threads each. */
static void flood(long count) {
    int status, bad = 0;
    for (int i = 0; i < 3; i++) {
        if (fork()) continue;
        pthread_t thread;
        void *other;
        pthread_create(&thread, NULL, many, (void *)count);
        long mine = (long)many((void *)count);
        pthread_join(thread, &other);
        _exit(mine + (long)other ? 1 : 0);
    }
    while (wait(&status) > 0) bad |= status;
    printf("flood %d\n", bad);
}

/* A refused call that a signal meets again and again. */
static volatile int ticks;
static void tick(int signal) { ticks++; }
static void interrupted(int flags) {
    struct sigaction action = {.sa_handler = tick, .sa_flags = flags};
    sigaction(SIGALRM, &action, NULL);
    ualarm(300, 300);
    long other = 0;
    for (int i = 0; i < 20000; i++)
        if (syscall(SYS_keyctl, 0, -3, 0) != -1 || (errno != EPERM && (errno != EINTR || flags))) other++;
    ualarm(0, 0);
    printf("interrupted %s %ld\n", ticks ? "yes" : "no", other);
}

/* Keeps its parent, which is init, busy with reaping, and asks meanwhile. */
static int ends_at_once(void *unused) { syscall(SYS_exit, 0); return 0; }
static int sleeps(void *unused) { for (;;) pause(); }
static char *stack(void) { return (char *)mmap(0, 16384, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) + 16384; }
static int makes_children(void *unused) {
    char *own = stack();
    for (;;) clone(ends_at_once, own, CLONE_VM | CLONE_PARENT | SIGCHLD, 0);
}
static void storm(int sleepers, int seconds) {
    for (int i = 0; i < sleepers; i++) clone(sleeps, stack(), CLONE_VM | CLONE_PARENT | SIGCHLD, 0);
    /* In memory of their own: what fails for them is not this process's errno. */
    for (int i = 0; i < 8; i++) clone(makes_children, stack(), CLONE_PARENT | SIGCHLD, 0);
    sleep(1);
    syscall(SYS_keyctl, 0, -3, 0);
    printf("answered %d\n", errno);
    fflush(stdout);
    sleep(seconds);
}

/* Executes the rest below a filter that somebody listens to. */
static int under_a_listener(char **rest) {
    struct sock_filter code[] = {{0x06, 0, 0, 0x7fff0000}};
    struct sock_fprog program = {1, code};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    int status, listener = syscall(SYS_seccomp, 1, 1 << 3, &program);
    if (listener < 0) { perror("no listener"); return 3; }
    if (fork() == 0) {
        execv(rest[0], rest);
        _exit(127);
    }
    wait(&status);
    return WEXITSTATUS(status);
}

int main(int argc, char **argv) {
    if (!strcmp(argv[1], "once")) once();
    if (!strcmp(argv[1], "flood")) flood(atol(argv[2]));
    if (!strcmp(argv[1], "interrupted")) interrupted(SA_RESTART), interrupted(0);
    if (!strcmp(argv[1], "storm")) storm(atoi(argv[2]), atoi(argv[3]));
    if (!strcmp(argv[1], "many kinds")) {
        for (int i = 0; i < 200; i++) socket(100 + i, SOCK_STREAM, 0);
        unshare(CLONE_NEWUTS);
    }
    if (!strcmp(argv[1], "listener")) return under_a_listener(argv + 2);
    return 0;
}
