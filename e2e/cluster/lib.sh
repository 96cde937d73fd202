# shellcheck shell=bash
# What `up`, `down` and the image scripts share. Sourced, never run.

# shellcheck disable=SC2034 # used by the scripts that source this file
{
  CLUSTER_DIR=${WEIR_CLUSTER_DIR:-/tmp/weir-cluster}

  # The cluster lives in a network namespace of its own, joined to the machine by one veth pair. So the machine's
  # iptables and sysctls stay as they are, nothing listens on the machine's own addresses, and, there being no
  # default route inside, a load test in the cluster cannot send a packet to anywhere but the cluster and this machine.
  # All addresses are of 198.18.0.0/15, which is set aside for benchmarks (RFC 2544).
  NETNS=weir-cluster
  VETH_HOST=weir0
  VETH_NODE=eth0
  NODE_IP=198.19.255.1     # the node; from the machine: the apiserver, NodePorts, hostNetwork pods
  HOST_IP=198.19.255.2     # the machine; pods reach its processes here
  POD_CIDR=198.18.0.0/16
  SERVICE_CIDR=198.19.0.0/20
  KUBERNETES_IP=198.19.0.1 # the first of SERVICE_CIDR, by definition the Service `kubernetes`
  DNS_IP=198.19.0.10
  NODE_NAME=weir

  # Started in this order, stopped in the reverse one.
  DAEMONS=(etcd kube-apiserver containerd kube-controller-manager kube-scheduler kubelet kube-proxy coredns)
}

say() { echo "$PROGRAM: $*" >&2; }
die() {
  say "$*"
  exit 1
}

need_root() {
  [ "$(id -u)" -eq 0 ] || die "must run as root (it makes network namespaces, mounts and cgroups)"
}

# Refuses a folder whose removal could hurt.
check_cluster_dir() {
  case $CLUSTER_DIR in
    / | *[[:space:]]* | /*/../* | */. | */.. | [!/]*) die "WEIR_CLUSTER_DIR must be an absolute path of a folder of its own, not '$CLUSTER_DIR'" ;;
  esac
  CLUSTER_DIR=${CLUSTER_DIR%/}
  # kubelet and containerd open unix sockets below it, whose paths the kernel limits to 107 bytes.
  [ "${#CLUSTER_DIR}" -le 60 ] || die "WEIR_CLUSTER_DIR is too long (at most 60 characters)"
  if [ -d "$CLUSTER_DIR" ] && [ ! -e "$CLUSTER_DIR/.weir-cluster" ] && [ -n "$(ls -A "$CLUSTER_DIR")" ]; then
    die "$CLUSTER_DIR is not empty and was not made by e2e/cluster/up; choose another WEIR_CLUSTER_DIR"
  fi
}

# The addresses are fixed, so there is one cluster a machine. Another folder's is alive if its apiserver listens.
refuse_foreign_cluster() {
  if [ ! -e "$CLUSTER_DIR/.weir-cluster" ] && [ -e "/run/netns/$NETNS" ] &&
    in_node ss -Hltn "src $NODE_IP:6443" 2>/dev/null | grep -q .; then
    die "the cluster that runs on this machine is of another WEIR_CLUSTER_DIR; take it down there first"
  fi
}

# One `up` or `down` at a time. Beside the folder, since `down` removes the folder. Callers pass descriptor 8 on to
# no daemon: a lock lives as long as its last open descriptor.
take_lock() {
  exec 8>"$CLUSTER_DIR.lock"
  # Long enough for a first `up`, which builds all tools.
  flock -w 1800 8 || die "another e2e/cluster/up or down has held $CLUSTER_DIR.lock for 30 minutes"
}

# pid_of NAME: the pid from the pid file if that very process is alive. Its command line must name the cluster's folder:
# the kernel may have given the number to someone else since.
pid_of() {
  local pid args
  pid=$(cat "$CLUSTER_DIR/pids/$1" 2>/dev/null) || return 1
  # Read whole, not piped into `grep -q`: that ends at the first match, and pipefail would call the rest a failure.
  args=$(tr '\0' ' ' 2>/dev/null <"/proc/${pid:-none}/cmdline") || return 1
  [[ $args == *"$CLUSTER_DIR"* ]] || return 1
  echo "$pid"
}

# in_node COMMAND…: runs it in the cluster's network namespace. (`ip netns exec` would also unshare mounts and hide
# cgroups.)
in_node() { nsenter --net="/run/netns/$NETNS" "$@"; }
