/* What an agent's command would try with system calls that no shell makes.
 *
 * attacker ATTEMPT[,ATTEMPT...] [ARGUMENT...]: each attempt runs in a process of its own and tells
 * "ATTEMPT done", "ATTEMPT errno N" or "ATTEMPT signal N". Most first try to get namespaces of
 * their own, so that without a sandbox nothing of the machine is changed. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/perf_event.h>
#include <net/if.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char **args;
static int words;

static char *arg(int i) {
    if (i >= words) { fprintf(stderr, "an argument is missing\n"); exit(2); }
    return args[i];
}
static long number(int i) { return atol(arg(i)); }

static int put(const char *path, const char *content) {
    int fd = open(path, O_WRONLY);
    if (fd < 0) return -1;
    int result = write(fd, content, strlen(content)) < 0 ? -1 : 0;
    close(fd);
    return result;
}

/* Namespaces of its own, with the user mapped to `inside`. Refused in a sandbox, which is no matter. */
static void own(int flags, unsigned inside) {
    char map[64];
    unsigned uid = geteuid(), gid = getegid();
    if (unshare(CLONE_NEWUSER | flags) < 0) return;
    put("/proc/self/setgroups", "deny");
    snprintf(map, sizeof map, "%u %u 1", inside, uid);
    put("/proc/self/uid_map", map);
    snprintf(map, sizeof map, "%u %u 1", inside, gid);
    put("/proc/self/gid_map", map);
    if (flags & CLONE_NEWNS) mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

/* A call that must not succeed for real: `reached` is what the kernel says once it is let through. */
static long reached(long result, int error) {
    return result < 0 && errno == error ? 0 : result;
}

/* ---- resources ---- */

static void *wait_for_ever(void *unused) { pause(); return unused; }

static long threads(void) {
    pthread_t thread;
    for (long i = 0; i < number(0); i++) {
        int error = pthread_create(&thread, NULL, wait_for_ever, NULL);
        if (error) { errno = error; return -1; }
    }
    return 0;
}

static long memory(void) {
    for (long i = 0; i < number(0); i++) {
        char *page = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (page == MAP_FAILED) return -1;
        memset(page, 1, 1 << 20);
    }
    return 0;
}

/* The same in processes of `1` MiB each, all of which live until the last has its own. */
static long memory_of_many(void) {
    int ready[2], go[2];
    char byte = 0;
    if (pipe(ready) || pipe(go)) return -1;
    for (long i = 0; i < number(0); i++) {
        if (fork() == 0) {
            args++;
            if (memory() < 0) _exit(1);
            write(ready[1], &byte, 1);
            close(go[1]);
            read(go[0], &byte, 1);
            _exit(0);
        }
    }
    close(ready[1]);
    long have = 0;
    while (have < number(0) && read(ready[0], &byte, 1) == 1) have++;
    if (have < number(0)) { errno = ENOMEM; return -1; }
    return 0;
}

static long shared_memory(void) {
    size_t bytes = (size_t)number(0) << 20;
    char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return -1;
    memset(memory, 1, bytes);
    return 0;
}

static long inodes(void) {
    char path[4096];
    for (long i = 0; i < number(1); i++) {
        snprintf(path, sizeof path, "%s/%ld", arg(0), i);
        if (mknod(path, S_IFREG | 0600, 0) < 0) return -1;
    }
    return 0;
}

static long descriptors(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    for (long i = 0; i < number(0); i++)
        if (open("/dev/null", O_RDONLY) < 0) return -1;
    return 0;
}

static long spin(void) {
    clock_t end = clock() + number(0) * CLOCKS_PER_SEC;
    while (clock() < end) {}
    return 0;
}

static long realtime(void) {
    struct sched_param param = {.sched_priority = 10};
    return sched_setscheduler(0, SCHED_FIFO, &param);
}
static long deadline(void) {
    struct { uint32_t size, policy; uint64_t flags; int32_t nice; uint32_t priority; uint64_t runtime, deadline, period; }
        attr = {48, 6, 0, 0, 0, 1000000, 10000000, 10000000};
    return syscall(SYS_sched_setattr, 0, &attr, 0);
}
static long nice_up(void) { return setpriority(PRIO_PROCESS, 0, -10); }

/* ---- lifetime ---- */

/* What a sandbox that relies on the parent's death signal does to itself, by `sleep`. */
static long dies_with_its_parent(void) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    puts("waiting");
    fflush(stdout);
    sleep(number(0));
    return 0;
}

/* ---- files ---- */

static long read_file(void) {
    char byte;
    int fd = open(arg(0), O_RDONLY);
    return fd < 0 ? -1 : read(fd, &byte, 1);
}
static long write_file(void) { return open(arg(0), O_WRONLY); }
static long exchange(void) { return syscall(SYS_renameat2, AT_FDCWD, arg(0), AT_FDCWD, arg(1), 2); }
static long rename_over(void) { return rename(arg(0), arg(1)); }
static long openat2_read(void) {
    uint64_t how[3] = {O_RDONLY, 0, 0};
    return syscall(437, AT_FDCWD, arg(0), how, sizeof how);
}
static long openat2_set_id(void) {
    uint64_t how[3] = {O_WRONLY | O_CREAT, 04755, 0};
    return syscall(437, AT_FDCWD, arg(1), how, sizeof how);
}
static long memory_file(void) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/mem", number(0));
    return open(path, O_RDWR);
}
static long own_memory_file(void) { return open("/proc/self/mem", O_RDWR); }
static long mknod_char(void) { return mknod("device", S_IFCHR | 0666, makedev(1, 3)); }
static long mknod_block(void) { return mknod("disk", S_IFBLK | 0666, makedev(7, 0)); }
static long truncate_file(void) { return truncate(arg(0), 0); }
static long open_truncate(void) { return open(arg(0), O_RDONLY | O_TRUNC); }
static long chmod_file(void) { return chmod(arg(0), 0777); }
static long utime_file(void) { return utimensat(AT_FDCWD, arg(0), NULL, 0); }
static long sparse(void) { truncate(arg(0), 0); return truncate(arg(0), 1L << 40); }

static long sysv_make(void) { return shmget(number(0), 4096, IPC_CREAT | 0666); }
static long sysv_find(void) { return shmget(number(0), 0, 0); }
static long sysv_remove(void) { return shmctl(shmget(number(0), 0, 0), IPC_RMID, NULL); }
static long message_queue_make(void) { return msgget(number(0), IPC_CREAT | 0666); }
static long message_queue_find(void) { return msgget(number(0), 0); }
static long message_queue_remove(void) { return msgctl(msgget(number(0), 0), IPC_RMID, NULL); }
static long posix_queue_make(void) { return syscall(SYS_mq_open, arg(1), O_CREAT | O_RDWR, 0666, NULL); }
static long posix_queue_find(void) { return syscall(SYS_mq_open, arg(1), O_RDONLY, 0, NULL); }
static long posix_queue_remove(void) { return syscall(SYS_mq_unlink, arg(1)); }

/* ---- privilege ---- */

static long set_uid(void) { return setresuid(0, 0, 0); }
static long effective_root(void) { errno = EPERM; return geteuid() == 0 ? 0 : -1; }
static long ambient_capability(void) {
    own(0, 0);
    uint32_t header[2] = {0x20080522, 0}, data[6];
    if (syscall(SYS_capget, header, data) < 0) return -1;
    data[2] = data[1];
    data[5] = data[4];
    if (syscall(SYS_capset, header, data) < 0) return -1;
    return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 0, 0, 0);
}

static long mount_tmpfs(void) { own(CLONE_NEWNS, 0); return mount("none", "/tmp", "tmpfs", 0, NULL); }
static long remount(void) { own(CLONE_NEWNS, 0); return mount("none", "/", NULL, MS_REC | MS_SLAVE, NULL); }
static long mount_bind(void) { own(CLONE_NEWNS, 0); return mount("/", "/tmp", NULL, MS_BIND | MS_REC, NULL); }
static long unmount(void) {
    own(CLONE_NEWNS, 0);
    mount("none", "/tmp", "tmpfs", 0, NULL);
    return umount2("/tmp", MNT_DETACH);
}
static long fs_open(void) { own(CLONE_NEWNS, 0); return syscall(430, "tmpfs", 0); }
static long fs_config(void) {
    own(CLONE_NEWNS, 0);
    return syscall(431, syscall(430, "tmpfs", 0), 6, NULL, NULL, 0);
}
static long fs_mount(void) {
    own(CLONE_NEWNS, 0);
    int fs = syscall(430, "tmpfs", 0);
    syscall(431, fs, 6, NULL, NULL, 0);
    return syscall(432, fs, 0, 0);
}
static long fs_pick(void) { own(CLONE_NEWNS, 0); mount("none", "/tmp", "tmpfs", 0, NULL); return syscall(433, AT_FDCWD, "/tmp", 0); }
static long clone_tree(void) { own(CLONE_NEWNS, 0); return syscall(428, AT_FDCWD, "/", 1 | AT_RECURSIVE); }
static long attach_tree(void) {
    own(CLONE_NEWNS, 0);
    int tree = syscall(428, AT_FDCWD, "/", 1 | AT_RECURSIVE);
    return syscall(429, tree, "", AT_FDCWD, "/tmp", 4);
}
static long set_mount_attributes(void) {
    uint64_t attr[4] = {1, 0, 0, 0};
    own(CLONE_NEWNS, 0);
    mount("none", "/tmp", "tmpfs", 0, NULL);
    return syscall(442, AT_FDCWD, "/tmp", 0, attr, sizeof attr);
}
static long pivot_root(void) {
    own(CLONE_NEWNS, 0);
    mount("none", "/tmp", "tmpfs", 0, NULL);
    return chdir("/tmp") < 0 ? -1 : syscall(SYS_pivot_root, ".", ".");
}
static long change_root(void) { own(0, 0); return chroot("/tmp"); }
static long chroot_breakout(void) {
    own(0, 0);
    mkdir("jail", 0700);
    mkdir("jail/deeper", 0700);
    chroot("jail");
    chdir("/");
    /* A working directory above the root is not held by it. */
    chroot("deeper");
    for (int i = 0; i < 100; i++) chdir("..");
    chroot(".");
    return read_file();
}

static long unshare_user(void) { return unshare(CLONE_NEWUSER); }
static long unshare_time(void) { own(0, 0); return unshare(0x80); }
static long raw_clone(unsigned long flags) {
    long pid = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
    if (pid == 0) _exit(0);
    return pid;
}
static long clone_user(void) { return raw_clone(CLONE_NEWUSER); }
static long clone_user_high_bits(void) { return raw_clone(CLONE_NEWUSER | 1ul << 32); }
static long clone3_user(void) {
    uint64_t clone_args[11] = {CLONE_NEWUSER, 0, 0, 0, SIGCHLD};
    long pid = syscall(435, clone_args, sizeof clone_args);
    if (pid == 0) _exit(0);
    return pid;
}
static long set_namespace(void) {
    own(CLONE_NEWUTS, 0);
    return setns(open("/proc/self/ns/uts", O_RDONLY), CLONE_NEWUTS);
}
static long set_namespace_by_pidfd(void) {
    own(CLONE_NEWUTS, 0);
    return setns(syscall(434, getpid(), 0), CLONE_NEWUTS);
}
static long open_by_handle(void) {
    struct { struct file_handle handle; char bytes[128]; } file = {.handle.handle_bytes = 128};
    int id;
    if (name_to_handle_at(AT_FDCWD, "/usr", &file.handle, &id, 0) < 0) return -1;
    return open_by_handle_at(open("/usr", O_RDONLY), &file.handle, O_RDONLY);
}
static long name_to_handle(void) {
    struct { struct file_handle handle; char bytes[128]; } file = {.handle.handle_bytes = 128};
    int id;
    return name_to_handle_at(AT_FDCWD, "/usr", &file.handle, &id, 0);
}
/* Executes itself from memory, where no path rule reaches; that reads the file. */
static long memfd_exec(void) {
    char buffer[65536];
    ssize_t n;
    int self = open("/proc/self/exe", O_RDONLY), fd = memfd_create("attacker", 0);
    while ((n = read(self, buffer, sizeof buffer)) > 0)
        if (write(fd, buffer, n) != n) return -1;
    char *argv[] = {"attacker", "read", arg(0), NULL}, *envp[] = {NULL};
    puts("memory executes");
    fflush(stdout);
    return fexecve(fd, argv, envp);
}

/* ---- other processes ---- */

static char precious[16] = "precious";

static int victim(void) {
    int pid = fork();
    if (pid == 0) { alarm(20); pause(); _exit(0); }
    return pid;
}
static long trace_child(void) {
    int pid = victim();
    long result = ptrace(PTRACE_SEIZE, pid, 0, 0);
    int error = errno;
    kill(pid, SIGKILL);
    errno = error;
    return result;
}
static long trace_me(void) { return ptrace(PTRACE_TRACEME, 0, 0, 0); }
static long trace_process(void) { return ptrace(PTRACE_SEIZE, number(0), 0, 0); }
static long transfer(long call) {
    char bytes[16] = "";
    struct iovec mine = {bytes, sizeof bytes}, theirs = {precious, sizeof precious};
    int pid = victim();
    long result = syscall(call, pid, &mine, 1, &theirs, 1, 0);
    int error = errno;
    kill(pid, SIGKILL);
    errno = error;
    return result;
}
static long read_memory(void) { return transfer(SYS_process_vm_readv); }
static long write_memory(void) { return transfer(SYS_process_vm_writev); }
static long take_descriptor(void) {
    int pid = victim();
    long result = syscall(438, syscall(434, pid, 0), 1, 0);
    int error = errno;
    kill(pid, SIGKILL);
    errno = error;
    return result;
}
static long compare(void) { return syscall(SYS_kcmp, getpid(), getpid(), 0, 0, 1); }
static long kill_process(void) { return kill(number(0), SIGKILL); }
static long kill_by_pidfd(void) {
    int fd = syscall(434, number(0), 0);
    return fd < 0 ? -1 : syscall(424, fd, SIGKILL, NULL, 0);
}
static long queue_signal(void) {
    union sigval value = {0};
    return sigqueue(number(0), SIGKILL, value);
}

/* ---- the kernel's surface ---- */

/* Its own terminal, or where it cannot make one its standard input. */
static int terminal(void) {
    if (isatty(0)) return 0;
    int master = open("/dev/ptmx", O_RDWR | O_NOCTTY);
    if (master < 0) return 0;
    grantpt(master);
    unlockpt(master);
    setsid();
    return open(ptsname(master), O_RDWR);
}
static long push_input(void) { return ioctl(terminal(), TIOCSTI, "x"); }
static long push_input_high_bits(void) { return syscall(SYS_ioctl, terminal(), 0x7f00000000000000ul | TIOCSTI, "x"); }
static long console_paste(void) { char code = 3; return reached(ioctl(terminal(), TIOCLINUX, &code), ENOTTY); }
static long line_discipline(void) { int n_gsm = 21; return ioctl(terminal(), TIOCSETD, &n_gsm); }
static long io_uring(void) { uint32_t params[30] = {0}; return syscall(425, 4, params); }
static long load_bpf(void) {
    union bpf_attr attr = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
    return syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof attr);
}
static long key_control(void) { return syscall(SYS_keyctl, 0, -3, 1); }
static long key_add(void) { return syscall(SYS_add_key, "user", "codegenie-test", "x", 1, -2); }
static long key_request(void) { return reached(syscall(SYS_request_key, "user", "codegenie-none", NULL, 0), ENOKEY); }
static long user_faults(void) { return syscall(SYS_userfaultfd, O_CLOEXEC | 1); }
static long perf(void) {
    struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE, .size = sizeof attr, .exclude_kernel = 1, .exclude_hv = 1};
    return syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}
/* Arguments that are refused before anything happens. */
static long kexec(void) { return reached(syscall(SYS_kexec_load, 0, 1000, NULL, 0), EINVAL); }
static long load_module(void) { return reached(syscall(SYS_finit_module, -1, "", 0), EBADF); }
static long unload_module(void) { return reached(syscall(SYS_delete_module, "codegenie_none", O_NONBLOCK), ENOENT); }
static long set_clock(void) { struct timespec t = {0, -1}; return reached(syscall(SYS_clock_settime, CLOCK_REALTIME, &t), EINVAL); }
static long restart(void) { return reached(syscall(SYS_reboot, 0, 0, 0, NULL), EINVAL); }
static long kernel_log(void) { return syscall(SYS_syslog, 3, malloc(4096), 4096); }
static long notify_files(void) { return syscall(SYS_fanotify_init, 0, O_RDONLY); }
static long set_personality(void) { return syscall(SYS_personality, 0x0400000); }
#ifdef __x86_64__
/* Calls by the numbers of x32: getpid, and keyctl, which is refused by its own number. */
static long x32(void) { return syscall(0x40000000 + SYS_getpid); }
static long x32_keyctl(void) { return syscall(0x40000000 + SYS_keyctl, 0, -3, 1); }
/* By the gate of 32-bit programs: getpid there, which is another call's number here. */
static long int_80(void) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20) : "memory", "r8", "r9", "r10", "r11");
    if (result < 0) { errno = -result; return -1; }
    errno = EINVAL;
    return result == getpid() ? 0 : -1;
}
#else
static long x32(void) { errno = ENOSYS; return -1; }
static long x32_keyctl(void) { return x32(); }
static long int_80(void) { return x32(); }
#endif

/* ---- network ---- */

static long make_socket(int family, int type, int protocol) { return socket(family, type, protocol); }
static long connect_to(int type) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(number(1))};
    inet_pton(AF_INET, arg(0), &to.sin_addr);
    int fd = socket(AF_INET, type, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0) return -1;
    return send(fd, "stolen", 6, MSG_NOSIGNAL);
}
static long tcp(void) { return connect_to(SOCK_STREAM); }
static long udp(void) { return connect_to(SOCK_DGRAM); }
/* Of its own network where it may have one, as an ordinary user can. */
static long raw(void) { own(CLONE_NEWNET, 0); return make_socket(AF_INET, SOCK_RAW, IPPROTO_ICMP); }
static long raw_ip(void) { own(CLONE_NEWNET, 0); return make_socket(AF_INET, SOCK_RAW, IPPROTO_RAW); }
static long packet(void) { own(CLONE_NEWNET, 0); return make_socket(AF_PACKET, SOCK_RAW, htons(3)); }
static long sctp(void) { return make_socket(AF_INET, SOCK_STREAM, 132); }
static long vsock(void) { return make_socket(AF_VSOCK, SOCK_STREAM, 0); }
static long alg(void) { return make_socket(AF_ALG, SOCK_SEQPACKET, 0); }
static long netlink_audit(void) { return make_socket(AF_NETLINK, SOCK_RAW, NETLINK_AUDIT); }
static long netlink_events(void) { return make_socket(AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT); }
static long netlink_filter(void) { return make_socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER); }
static long netlink_generic(void) { return make_socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC); }
static long bluetooth(void) { return make_socket(31, SOCK_RAW, 1); }

static socklen_t unix_address(struct sockaddr_un *address, int is_abstract) {
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    strncpy(address->sun_path + is_abstract, arg(is_abstract ? 0 : 1), 100);
    return offsetof(struct sockaddr_un, sun_path) + is_abstract + strlen(address->sun_path + is_abstract);
}
static long connect_unix(int is_abstract) {
    struct sockaddr_un address;
    socklen_t length = unix_address(&address, is_abstract);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    return connect(fd, (struct sockaddr *)&address, length) < 0 ? -1 : fd;
}
/* Takes a descriptor that a process outside offers there, and reads from it. */
static long import(int is_abstract) {
    char byte, control[CMSG_SPACE(sizeof(int))];
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    int fd = connect_unix(is_abstract), got;
    if (fd < 0 || recvmsg(fd, &message, 0) < 0 || !CMSG_FIRSTHDR(&message)) return -1;
    memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof got);
    return read(got, &byte, 1) == 1 ? 0 : -1;
}
static long unix_abstract(void) { return connect_unix(1); }
static long unix_path(void) { return connect_unix(0); }
static long import_abstract(void) { return import(1); }
static long import_path(void) { return import(0); }

static const struct { const char *name; long (*attempt)(void); } attempts[] = {
#define A(name) {#name, name}
    A(threads), A(memory), A(memory_of_many), A(shared_memory), A(inodes), A(descriptors), A(spin), A(realtime),
    A(deadline), A(nice_up), A(dies_with_its_parent), {"read", read_file}, {"write", write_file}, A(exchange),
    A(rename_over), A(openat2_read), A(openat2_set_id), A(memory_file), A(own_memory_file), A(mknod_char),
    A(mknod_block), A(truncate_file), A(open_truncate), A(chmod_file), A(utime_file), A(sparse), A(sysv_make),
    A(sysv_find), A(sysv_remove), A(message_queue_make), A(message_queue_find), A(message_queue_remove),
    A(posix_queue_make), A(posix_queue_find), A(posix_queue_remove), A(set_uid), A(effective_root),
    A(ambient_capability), A(mount_tmpfs), A(remount), A(mount_bind), A(unmount), A(fs_open), A(fs_config),
    A(fs_mount), A(fs_pick), A(clone_tree), A(attach_tree), A(set_mount_attributes), A(pivot_root), A(change_root),
    A(chroot_breakout), A(unshare_user), A(unshare_time), A(clone_user), A(clone_user_high_bits), A(clone3_user),
    A(set_namespace), A(set_namespace_by_pidfd), A(open_by_handle), A(name_to_handle), A(memfd_exec), A(trace_child),
    A(trace_me), A(trace_process), A(read_memory), A(write_memory), A(take_descriptor), A(compare), A(kill_process),
    A(kill_by_pidfd), A(queue_signal), A(push_input), A(push_input_high_bits), A(console_paste), A(line_discipline),
    A(io_uring), A(load_bpf), A(key_control), A(key_add), A(key_request), A(user_faults), A(perf), A(kexec),
    A(load_module), A(unload_module), A(set_clock), A(restart), A(kernel_log), A(notify_files), A(set_personality),
    A(x32), A(x32_keyctl), A(int_80), A(tcp), A(udp), A(raw), A(raw_ip), A(packet), A(sctp), A(vsock), A(alg),
    A(netlink_audit), A(netlink_events), A(netlink_filter), A(netlink_generic), A(bluetooth), A(unix_abstract),
    A(unix_path), A(import_abstract), A(import_path),
};

/* ---- what stands outside, for the tests ---- */

static int listening(int is_abstract) {
    struct sockaddr_un address;
    socklen_t length = unix_address(&address, is_abstract);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) < 0 || listen(fd, 8) < 0) exit(3);
    return fd;
}
/* Passes a descriptor of the file `2` to whoever connects to the abstract name `0` or to the path `1`. */
static void confederate(void) {
    struct pollfd from[2] = {{listening(1), POLLIN, 0}, {listening(0), POLLIN, 0}};
    puts("ready");
    fflush(stdout);
    alarm(60);
    for (;;) {
        poll(from, 2, -1);
        int fd = accept(from[from[0].revents & POLLIN ? 0 : 1].fd, NULL, NULL), file = open(arg(2), O_RDONLY);
        union { struct cmsghdr header; char bytes[CMSG_SPACE(sizeof(int))]; } control = {
            .header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
        memcpy(CMSG_DATA(&control.header), &file, sizeof file);
        struct iovec part = {"x", 1};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
        sendmsg(fd, &message, MSG_NOSIGNAL);
        close(file);
        close(fd);
    }
}
/* Executes the rest in a network whose loopback also has the address `0`. */
static void beside(void) {
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    struct sockaddr_in address = {.sin_family = AF_INET};
    if (geteuid()) own(CLONE_NEWNET, geteuid());
    else unshare(CLONE_NEWNET);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (ioctl(fd, SIOCSIFFLAGS, &request) < 0) { perror("cannot raise the loopback"); exit(3); }
    strcpy(request.ifr_name, "lo:0");
    inet_pton(AF_INET, arg(0), &address.sin_addr);
    memcpy(&request.ifr_addr, &address, sizeof address);
    if (ioctl(fd, SIOCSIFADDR, &request) < 0) { perror("cannot add the address"); exit(3); }
    execv(arg(1), args + 1);
    perror("cannot execute");
    exit(3);
}
/* Executes the rest with a terminal that it controls, and prints what comes out of that. */
static void on_terminal(void) {
    char buffer[4096];
    ssize_t n;
    int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
    grantpt(master);
    unlockpt(master);
    if (fork() == 0) {
        setsid();
        int slave = open(ptsname(master), O_RDWR);
        dup2(slave, 0);
        dup2(slave, 1);
        dup2(slave, 2);
        execv(arg(0), args);
        _exit(127);
    }
    while ((n = read(master, buffer, sizeof buffer)) > 0) write(1, buffer, n);
    wait(NULL);
}
/* Executes the rest as another user. */
static void as_user(void) {
    unsigned id = number(0);
    if (setresgid(id, id, id) < 0 || setresuid(id, id, id) < 0) exit(3);
    execv(arg(1), args + 1);
    exit(3);
}

static void run(const char *name) {
    fflush(stdout);
    int pid = fork(), status;
    if (pid == 0) {
        alarm(60);
        for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++) {
            if (strcmp(attempts[i].name, name)) continue;
            errno = 0;
            if (attempts[i].attempt() < 0) printf("%s errno %d\n", name, errno);
            else printf("%s done\n", name);
            fflush(stdout);
            _exit(0);
        }
        fprintf(stderr, "no attempt %s\n", name);
        _exit(2);
    }
    if (pid < 0) { printf("%s errno %d\n", name, errno); return; }
    waitpid(pid, &status, 0);
    if (WIFSIGNALED(status)) printf("%s signal %d\n", name, WTERMSIG(status));
}

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    args = argv + 2;
    words = argc - 2;
    if (!strcmp(argv[1], "confederate")) confederate();
    if (!strcmp(argv[1], "beside")) beside();
    if (!strcmp(argv[1], "on_terminal")) { on_terminal(); return 0; }
    if (!strcmp(argv[1], "as_user")) as_user();
    for (char *name = strtok(argv[1], ","); name; name = strtok(NULL, ",")) run(name);
    return 0;
}
