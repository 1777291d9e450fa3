// struct virtio_net_hdr, the 10 bytes in front of every packet of a TUN opened with IFF_VNET_HDR: what the kernel left
// undone (checksum, segmentation) and may leave undone for us. linux/virtio_net.h; native byte order, little-endian here
// (TUNSETVNETLE is set by native/).

/** Bytes of the header in front of the IP packet. */
export const VNET_HDR_LEN = 10

// Offsets within the header.
export const VNET_FLAGS = 0
export const VNET_GSO_TYPE = 1
export const VNET_GSO_SIZE = 4 // u16: payload bytes of one segment
export const VNET_CSUM_START = 6 // u16: from the IP header's first byte
export const VNET_CSUM_OFFSET = 8 // u16: from csum_start

// flags
export const VNET_F_NEEDS_CSUM = 1 // the checksum field holds the pseudo-header's sum only
export const VNET_F_DATA_VALID = 2 // the checksum has been verified

// gso_type
export const VNET_GSO_NONE = 0
export const VNET_GSO_TCPV4 = 1
export const VNET_GSO_TCPV6 = 4
