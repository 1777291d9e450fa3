/*
 * Pings for the agent, which runs in Node and so has no ICMP sockets. Uses unprivileged ICMP datagram sockets, which the pod's
 * sysctl net.ipv4.ping_group_range must allow (container runtimes do by default). Requests on stdin, answers on stdout,
 * a line each: `ID TIMEOUT_MS BYTES ADDRESS` and `ID 1` (answered) or `ID 0`. Prints `ready` first, or ends with 1.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_PENDING 1024
#define MAX_PAYLOAD 65507
#define TOKEN_BYTES 8
#define HEADER_BYTES 8

/* An echo request that is out. The kernel chooses the ICMP identifier; the token in the payload says which request it was. */
struct pending {
  unsigned long id;
  uint64_t token;
  int64_t deadline;
  size_t length; /* of the payload that was asked for */
  int used;
};

static struct pending pending[MAX_PENDING];
static unsigned char packet[HEADER_BYTES + MAX_PAYLOAD + TOKEN_BYTES];
static uint16_t sequence;
static uint64_t next_token;

static int64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int open_socket(int family, int protocol) {
  int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, protocol);
  if (fd >= 0) fcntl(fd, F_SETFL, O_NONBLOCK);
  return fd;
}

static void answer(unsigned long id, int answered) {
  printf("%lu %d\n", id, answered);
  fflush(stdout);
}

static void request(char *line, int fd4, int fd6) {
  unsigned long id;
  long timeout;
  long length;
  char text[64];
  if (sscanf(line, "%lu %ld %ld %63s", &id, &timeout, &length, text) != 4) return;
  struct sockaddr_in a4 = {.sin_family = AF_INET};
  struct sockaddr_in6 a6 = {.sin6_family = AF_INET6};
  int v4 = inet_pton(AF_INET, text, &a4.sin_addr) == 1;
  int fd = v4 ? fd4 : fd6;
  struct pending *slot = NULL;
  for (int i = 0; i < MAX_PENDING && !slot; i++)
    if (!pending[i].used) slot = &pending[i];
  if (!slot || fd < 0 || timeout < 0 || length < 0 || length > MAX_PAYLOAD ||
      (!v4 && inet_pton(AF_INET6, text, &a6.sin6_addr) != 1)) {
    answer(id, 0);
    return;
  }
  /* Short payloads are made long enough for the token. */
  size_t payload = length < TOKEN_BYTES ? TOKEN_BYTES : (size_t)length;
  memset(packet, 0, HEADER_BYTES);
  packet[0] = v4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST;
  uint16_t seq = htons(++sequence);
  memcpy(packet + 6, &seq, 2);
  uint64_t token = ++next_token;
  memcpy(packet + HEADER_BYTES, &token, TOKEN_BYTES);
  for (size_t i = TOKEN_BYTES; i < payload; i++) packet[HEADER_BYTES + i] = (unsigned char)i;
  ssize_t sent = v4 ? sendto(fd, packet, HEADER_BYTES + payload, 0, (struct sockaddr *)&a4, sizeof a4)
                    : sendto(fd, packet, HEADER_BYTES + payload, 0, (struct sockaddr *)&a6, sizeof a6);
  if (sent < 0) {
    answer(id, 0);
    return;
  }
  *slot = (struct pending){.id = id, .token = token, .deadline = now_ms() + timeout, .length = payload, .used = 1};
}

static void receive(int fd, int reply_type) {
  ssize_t got;
  while ((got = recv(fd, packet, sizeof packet, 0)) >= 0) {
    if (got < HEADER_BYTES + TOKEN_BYTES || packet[0] != reply_type) continue;
    uint64_t token;
    memcpy(&token, packet + HEADER_BYTES, TOKEN_BYTES);
    for (int i = 0; i < MAX_PENDING; i++) {
      if (!pending[i].used || pending[i].token != token) continue;
      pending[i].used = 0;
      answer(pending[i].id, (size_t)got == HEADER_BYTES + pending[i].length);
      break;
    }
  }
}

int main(void) {
  int fd4 = open_socket(AF_INET, IPPROTO_ICMP);
  int fd6 = open_socket(AF_INET6, IPPROTO_ICMPV6);
  if (fd4 < 0 && fd6 < 0) {
    fprintf(stderr, "kt-ping: %s\n", strerror(errno));
    return 1;
  }
  puts("ready");
  fflush(stdout);
  fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
  char line[4096];
  size_t have = 0;
  for (;;) {
    int64_t nearest = -1;
    int64_t now = now_ms();
    for (int i = 0; i < MAX_PENDING; i++) {
      if (!pending[i].used) continue;
      if (pending[i].deadline <= now) {
        pending[i].used = 0;
        answer(pending[i].id, 0);
      } else if (nearest < 0 || pending[i].deadline < nearest) {
        nearest = pending[i].deadline;
      }
    }
    struct pollfd fds[3] = {{STDIN_FILENO, POLLIN, 0}, {fd4, POLLIN, 0}, {fd6, POLLIN, 0}};
    if (poll(fds, 3, nearest < 0 ? -1 : (int)(nearest - now)) < 0 && errno != EINTR) return 1;
    if (fds[1].revents) receive(fd4, ICMP_ECHOREPLY);
    if (fds[2].revents) receive(fd6, ICMP6_ECHO_REPLY);
    if (!fds[0].revents) continue;
    ssize_t got = read(STDIN_FILENO, line + have, sizeof line - have - 1);
    if (got == 0 || (got < 0 && errno != EAGAIN)) return 0; /* the agent has gone */
    if (got < 0) continue;
    have += (size_t)got;
    line[have] = 0;
    char *start = line;
    char *end;
    while ((end = strchr(start, '\n'))) {
      *end = 0;
      request(start, fd4, fd6);
      start = end + 1;
    }
    have -= (size_t)(start - line);
    memmove(line, start, have);
    if (have == sizeof line - 1) have = 0; /* a line that long is none of ours */
  }
}
