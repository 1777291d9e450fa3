// TUN devices for Node: open one, read and write its packets in batches. Mechanism only: which device, which addresses,
// what a packet means is decided in TypeScript. Every frame is a struct virtio_net_hdr of 10 bytes and an IP packet; the
// kernel may leave checksums and TCP segmentation undone on both ways (checksum offload, TSO).
//
// open(name, mtu) -> { fd, name, mtu, offload }        attach(fd) -> the same for an inherited descriptor
// start(fd, arena, offsets, lengths, callback)         callback(count, errno) once a batch
// write(fd, arena, offsets, lengths, count) -> taken   mtu(fd) -> bytes    stop(fd)    close(fd)
// receive(socket) -> fd                                a descriptor that came through a Unix socket (SCM_RIGHTS)
// peer(socket) -> uid                                  who opened the other end of a Unix socket (SO_PEERCRED)
#define _GNU_SOURCE
#define NAPI_VERSION 8
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <node_api.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

// Largest frame: the header, and a super-segment of gso_max_size (65,536 by default, headers included), rounded up.
#define FRAME_MAX (65536 + 64)
#define VNET_HDR_LEN 10
#define FRAME_ALIGN 16

// A started device. Lives from start() until libuv has closed the handle.
typedef struct poller {
  uv_poll_t handle; // first, so that a uv_handle_t * is a poller *
  struct poller *next;
  struct addon *addon;
  int fd;
  bool closing;
  napi_env env;
  napi_ref arena_ref, offsets_ref, lengths_ref, callback_ref;
  napi_async_context context;
  napi_async_cleanup_hook_handle cleanup;
  uint8_t *arena;
  size_t arena_size;
  uint32_t *offsets, *lengths;
  size_t capacity;
} poller;

typedef struct addon {
  poller *pollers;
} addon;

// Throws an Error whose `code` is the errno's name, as Node's own system errors have it.
static napi_value throw_errno(napi_env env, const char *what, int error) {
  char text[160];
  if (error == EBADFD) error = EBADF; // libuv has no name for it; a TUN says it when its interface is gone
  snprintf(text, sizeof text, "%s: %s", what, strerror(error));
  napi_throw_error(env, uv_err_name(uv_translate_sys_error(error)), text);
  return NULL;
}

static napi_value throw_type(napi_env env, const char *text) {
  napi_throw_type_error(env, NULL, text);
  return NULL;
}

static bool get_args(napi_env env, napi_callback_info info, size_t want, napi_value *args) {
  size_t count = want;
  if (napi_get_cb_info(env, info, &count, args, NULL, NULL) != napi_ok || count < want) {
    throw_type(env, "too few arguments");
    return false;
  }
  return true;
}

static bool get_fd(napi_env env, napi_value value, int *fd) {
  if (napi_get_value_int32(env, value, fd) == napi_ok && *fd >= 0) return true;
  throw_type(env, "fd must be a descriptor");
  return false;
}

static bool get_typed(napi_env env, napi_value value, napi_typedarray_type want, void **data, size_t *length) {
  napi_typedarray_type type;
  if (napi_get_typedarray_info(env, value, &type, length, data, NULL, NULL) == napi_ok && type == want) return true;
  throw_type(env, want == napi_uint8_array ? "arena must be a Uint8Array" : "offsets, lengths must be Uint32Arrays");
  return false;
}

static void set_number(napi_env env, napi_value object, const char *key, double number) {
  napi_value value;
  napi_create_double(env, number, &value);
  napi_set_named_property(env, object, key, value);
}

// Any socket will do to ask for an interface's MTU. Returns -1 with errno.
static int mtu_ioctl(const char *name, unsigned long request, int mtu) {
  struct ifreq ifr;
  memset(&ifr, 0, sizeof ifr);
  strncpy(ifr.ifr_name, name, IFNAMSIZ - 1);
  ifr.ifr_mtu = mtu;
  int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (s < 0) s = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (s < 0) return -1;
  int result = ioctl(s, request, &ifr);
  int error = errno;
  close(s);
  errno = error;
  return result < 0 ? -1 : ifr.ifr_mtu;
}

// Asks for offloads, the most first. What was granted is the bits of the return value (TUN_F_*).
static unsigned negotiate(int fd) {
  static const unsigned wishes[] = {TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6, TUN_F_CSUM | TUN_F_TSO4, TUN_F_CSUM};
  for (size_t i = 0; i < sizeof wishes / sizeof *wishes; i++)
    if (ioctl(fd, TUNSETOFFLOAD, (unsigned long)wishes[i]) == 0) return wishes[i];
  ioctl(fd, TUNSETOFFLOAD, 0UL);
  return 0;
}

// Header size, byte order, offloads, flags of the descriptor; then the description for JavaScript.
static napi_value describe(napi_env env, int fd) {
  struct ifreq ifr;
  memset(&ifr, 0, sizeof ifr);
  if (ioctl(fd, TUNGETIFF, &ifr) < 0) return throw_errno(env, "not a TUN descriptor", errno);
  if (!(ifr.ifr_flags & IFF_TUN) || !(ifr.ifr_flags & IFF_NO_PI) || !(ifr.ifr_flags & IFF_VNET_HDR))
    return throw_errno(env, "the TUN device has other flags than IFF_TUN|IFF_NO_PI|IFF_VNET_HDR", EINVAL);
  int size = VNET_HDR_LEN, little_endian = 1;
  if (ioctl(fd, TUNSETVNETHDRSZ, &size) < 0) return throw_errno(env, "TUNSETVNETHDRSZ", errno);
  if (ioctl(fd, TUNSETVNETLE, &little_endian) < 0) return throw_errno(env, "TUNSETVNETLE", errno);
  unsigned offload = negotiate(fd);
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
    return throw_errno(env, "fcntl", errno);
  // 0 where it cannot be known: the interface is in another network namespace.
  int mtu = mtu_ioctl(ifr.ifr_name, SIOCGIFMTU, 0);
  if (mtu < 0 && errno != ENODEV) return throw_errno(env, "SIOCGIFMTU", errno);
  if (mtu < 0) mtu = 0;

  napi_value result, name, granted, value;
  napi_create_object(env, &result);
  set_number(env, result, "fd", fd);
  set_number(env, result, "mtu", mtu);
  napi_create_string_utf8(env, ifr.ifr_name, NAPI_AUTO_LENGTH, &name);
  napi_set_named_property(env, result, "name", name);
  napi_create_object(env, &granted);
  napi_get_boolean(env, offload & TUN_F_CSUM, &value);
  napi_set_named_property(env, granted, "csum", value);
  napi_get_boolean(env, offload & TUN_F_TSO4, &value);
  napi_set_named_property(env, granted, "tso4", value);
  napi_get_boolean(env, offload & TUN_F_TSO6, &value);
  napi_set_named_property(env, granted, "tso6", value);
  napi_set_named_property(env, result, "offload", granted);
  return result;
}

// open(name, mtu): a name with %d ("kt%d") takes the first free number; mtu 0 leaves the kernel's 1500.
static napi_value js_open(napi_env env, napi_callback_info info) {
  napi_value args[2];
  if (!get_args(env, info, 2, args)) return NULL;
  char name[IFNAMSIZ + 1];
  size_t length;
  int32_t mtu;
  if (napi_get_value_string_utf8(env, args[0], name, sizeof name, &length) != napi_ok || length >= IFNAMSIZ)
    return throw_type(env, "name must be a string of at most 15 bytes");
  if (napi_get_value_int32(env, args[1], &mtu) != napi_ok) return throw_type(env, "mtu must be a number");

  int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return throw_errno(env, "open /dev/net/tun", errno);
  struct ifreq ifr;
  memset(&ifr, 0, sizeof ifr);
  // IFF_TUN_EXCL: never join a device that somebody else has made.
  ifr.ifr_flags = (short)(IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_TUN_EXCL);
  memcpy(ifr.ifr_name, name, length);
  napi_value result = NULL;
  if (ioctl(fd, TUNSETIFF, &ifr) < 0) throw_errno(env, "TUNSETIFF", errno);
  else if (mtu > 0 && mtu_ioctl(ifr.ifr_name, SIOCSIFMTU, mtu) < 0) throw_errno(env, "SIOCSIFMTU", errno);
  else result = describe(env, fd);
  if (!result) close(fd);
  return result;
}

static napi_value js_attach(napi_env env, napi_callback_info info) {
  napi_value args[1];
  int fd;
  if (!get_args(env, info, 1, args) || !get_fd(env, args[0], &fd)) return NULL;
  return describe(env, fd);
}

static napi_value js_mtu(napi_env env, napi_callback_info info) {
  napi_value args[1], result;
  int fd;
  if (!get_args(env, info, 1, args) || !get_fd(env, args[0], &fd)) return NULL;
  struct ifreq ifr;
  memset(&ifr, 0, sizeof ifr);
  int mtu = ioctl(fd, TUNGETIFF, &ifr) < 0 ? -1 : mtu_ioctl(ifr.ifr_name, SIOCGIFMTU, 0);
  if (mtu < 0) return throw_errno(env, "the MTU cannot be read", errno);
  napi_create_int32(env, mtu, &result);
  return result;
}

// Calls JavaScript with (count, errno); the frames are in the arena.
static void deliver(poller *p, uint32_t count, int error) {
  napi_env env = p->env;
  napi_handle_scope scope;
  napi_value callback, global, args[2], ignored;
  napi_open_handle_scope(env, &scope);
  napi_get_reference_value(env, p->callback_ref, &callback);
  napi_get_global(env, &global);
  napi_create_uint32(env, count, &args[0]);
  napi_create_int32(env, error, &args[1]);
  napi_make_callback(env, p->context, global, callback, 2, args, &ignored);
  bool thrown = false;
  if (napi_is_exception_pending(env, &thrown) == napi_ok && thrown) {
    napi_value exception;
    napi_get_and_clear_last_exception(env, &exception);
    napi_fatal_exception(env, exception);
  }
  napi_close_handle_scope(env, scope);
}

// Reads until the queue is empty, the arena is full or every slot is taken. What is left comes with the next turn of
// the loop (the poll is level-triggered), so that other handles get theirs.
static void on_readable(uv_poll_t *handle, int status, int events) {
  poller *p = (poller *)handle;
  (void)events;
  uint32_t count = 0;
  size_t position = 0;
  int error = status < 0 ? EBADF : 0; // POLLERR: the interface is gone
  while (!error && count < p->capacity && p->arena_size - position >= FRAME_MAX) {
    ssize_t n = read(p->fd, p->arena + position, FRAME_MAX);
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) break;
      error = errno == EBADFD ? EBADF : errno;
      break;
    }
    p->offsets[count] = (uint32_t)position;
    p->lengths[count] = (uint32_t)n;
    count++;
    position += ((size_t)n + FRAME_ALIGN - 1) & ~(size_t)(FRAME_ALIGN - 1);
    if (position > p->arena_size) break;
  }
  if (error) uv_poll_stop(handle);
  if (count || error) deliver(p, count, error);
}

static void free_poller(uv_handle_t *handle) {
  poller *p = (poller *)handle;
  napi_remove_async_cleanup_hook(p->cleanup); // also lets an environment that waits for us end
  free(p);
}

static void stop_poller(poller *p) {
  if (p->closing) return;
  p->closing = true;
  for (poller **at = &p->addon->pollers; *at; at = &(*at)->next)
    if (*at == p) {
      *at = p->next;
      break;
    }
  napi_delete_reference(p->env, p->arena_ref);
  napi_delete_reference(p->env, p->offsets_ref);
  napi_delete_reference(p->env, p->lengths_ref);
  napi_delete_reference(p->env, p->callback_ref);
  napi_async_destroy(p->env, p->context);
  uv_close((uv_handle_t *)&p->handle, free_poller);
}

static void on_env_exit(napi_async_cleanup_hook_handle handle, void *data) {
  (void)handle;
  stop_poller(data);
}

static poller *find(addon *state, int fd) {
  poller *p = state->pollers;
  while (p && p->fd != fd) p = p->next;
  return p;
}

static napi_value js_start(napi_env env, napi_callback_info info) {
  napi_value args[5];
  int fd;
  if (!get_args(env, info, 5, args) || !get_fd(env, args[0], &fd)) return NULL;
  addon *state;
  napi_get_instance_data(env, (void **)&state);
  if (find(state, fd)) return throw_errno(env, "already started", EALREADY);

  void *arena, *offsets, *lengths;
  size_t arena_size, n_offsets, n_lengths;
  napi_valuetype type;
  if (!get_typed(env, args[1], napi_uint8_array, &arena, &arena_size) ||
      !get_typed(env, args[2], napi_uint32_array, &offsets, &n_offsets) ||
      !get_typed(env, args[3], napi_uint32_array, &lengths, &n_lengths))
    return NULL;
  if (napi_typeof(env, args[4], &type) != napi_ok || type != napi_function) return throw_type(env, "no callback");
  if (arena_size < FRAME_MAX || !n_offsets || !n_lengths) return throw_type(env, "the arena holds no frame");

  uv_loop_t *loop;
  poller *p = calloc(1, sizeof *p);
  if (!p) return throw_errno(env, "start", ENOMEM);
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) {
    free(p);
    return throw_errno(env, "no event loop", EINVAL);
  }
  int result = uv_poll_init(loop, &p->handle, fd);
  if (result < 0) {
    free(p);
    return throw_errno(env, "uv_poll_init", -result);
  }
  p->addon = state;
  p->env = env;
  p->fd = fd;
  p->arena = arena;
  p->arena_size = arena_size;
  p->offsets = offsets;
  p->lengths = lengths;
  p->capacity = n_offsets < n_lengths ? n_offsets : n_lengths;
  napi_value label;
  napi_create_string_utf8(env, "kt:tun", NAPI_AUTO_LENGTH, &label);
  napi_async_init(env, NULL, label, &p->context);
  // The arrays must not be collected while the kernel's packets are read into them.
  napi_create_reference(env, args[1], 1, &p->arena_ref);
  napi_create_reference(env, args[2], 1, &p->offsets_ref);
  napi_create_reference(env, args[3], 1, &p->lengths_ref);
  napi_create_reference(env, args[4], 1, &p->callback_ref);
  napi_add_async_cleanup_hook(env, on_env_exit, p, &p->cleanup);
  p->next = state->pollers;
  state->pollers = p;
  result = uv_poll_start(&p->handle, UV_READABLE, on_readable);
  if (result < 0) {
    stop_poller(p);
    return throw_errno(env, "uv_poll_start", -result);
  }
  return NULL;
}

static napi_value js_stop(napi_env env, napi_callback_info info) {
  napi_value args[1];
  int fd;
  if (!get_args(env, info, 1, args) || !get_fd(env, args[0], &fd)) return NULL;
  addon *state;
  napi_get_instance_data(env, (void **)&state);
  poller *p = find(state, fd);
  if (p) stop_poller(p);
  return NULL;
}

static napi_value js_close(napi_env env, napi_callback_info info) {
  napi_value args[1];
  int fd;
  if (!get_args(env, info, 1, args) || !get_fd(env, args[0], &fd)) return NULL;
  js_stop(env, info);
  if (close(fd) < 0 && errno != EINTR) return throw_errno(env, "close", errno);
  return NULL;
}

// One message of a Unix socket with the descriptor that came along. It does not wait: EAGAIN where there is none.
static napi_value js_receive(napi_env env, napi_callback_info info) {
  napi_value args[1], result;
  int fd;
  if (!get_args(env, info, 1, args) || !get_fd(env, args[0], &fd)) return NULL;
  char byte;
  struct iovec part = {.iov_base = &byte, .iov_len = 1};
  union {
    char space[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
  } control;
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof control.space};
  ssize_t n;
  do n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  while (n < 0 && errno == EINTR);
  if (n < 0) return throw_errno(env, "recvmsg", errno);
  struct cmsghdr *header = n == 1 ? CMSG_FIRSTHDR(&message) : NULL;
  if (!header || header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(sizeof(int)))
    return throw_errno(env, "no descriptor came along", EPIPE);
  int received;
  memcpy(&received, CMSG_DATA(header), sizeof received);
  napi_create_int32(env, received, &result);
  return result;
}

// The user that the process had which connected (unix(7)): the kernel has noted it, and nobody can say otherwise.
static napi_value js_peer(napi_env env, napi_callback_info info) {
  napi_value args[1], result;
  int fd;
  if (!get_args(env, info, 1, args) || !get_fd(env, args[0], &fd)) return NULL;
  struct ucred peer;
  socklen_t length = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0) return throw_errno(env, "SO_PEERCRED", errno);
  // The kernel says -1 for a socket that has no peer, or one whose user cannot be named here.
  if (peer.uid == (uid_t)-1) return throw_errno(env, "nobody is known at the other end", ENOTCONN);
  napi_create_uint32(env, peer.uid, &result);
  return result;
}

// A frame the kernel calls malformed is skipped; when it cannot take any now, or the link is down, the rest is dropped.
static napi_value js_write(napi_env env, napi_callback_info info) {
  napi_value args[5], result;
  int fd;
  uint32_t count, taken = 0;
  void *arena, *offsets, *lengths;
  size_t arena_size, n_offsets, n_lengths;
  if (!get_args(env, info, 5, args) || !get_fd(env, args[0], &fd) ||
      !get_typed(env, args[1], napi_uint8_array, &arena, &arena_size) ||
      !get_typed(env, args[2], napi_uint32_array, &offsets, &n_offsets) ||
      !get_typed(env, args[3], napi_uint32_array, &lengths, &n_lengths))
    return NULL;
  if (napi_get_value_uint32(env, args[4], &count) != napi_ok || count > n_offsets || count > n_lengths)
    return throw_type(env, "count is larger than the arrays");
  for (uint32_t i = 0; i < count; i++) {
    size_t offset = ((uint32_t *)offsets)[i], length = ((uint32_t *)lengths)[i];
    if (offset > arena_size || length > arena_size - offset) return throw_type(env, "a frame lies outside the arena");
    ssize_t n;
    do n = write(fd, (uint8_t *)arena + offset, length);
    while (n < 0 && errno == EINTR);
    if (n >= 0) taken++;
    else if (errno != EINVAL) break;
  }
  napi_create_uint32(env, taken, &result);
  return result;
}

static void free_addon(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  free(data);
}

NAPI_MODULE_INIT() {
  static const struct {
    const char *name;
    napi_callback callback;
  } functions[] = {{"open", js_open},   {"attach", js_attach}, {"start", js_start}, {"stop", js_stop},
                   {"write", js_write}, {"mtu", js_mtu},       {"close", js_close}, {"receive", js_receive},
                   {"peer", js_peer}};
  addon *state = calloc(1, sizeof *state);
  if (!state) return throw_errno(env, "init", ENOMEM);
  napi_set_instance_data(env, state, free_addon, NULL);
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    napi_value function;
    napi_create_function(env, functions[i].name, NAPI_AUTO_LENGTH, functions[i].callback, NULL, &function);
    napi_set_named_property(env, exports, functions[i].name, function);
  }
  return exports;
}
