// The Huffman code of HTTP/2's header compression (RFC 7541 5.2 and appendix B). The code is canonical: symbols of one
// length have consecutive codes in the order of their values, so the lengths alone describe it.

// Bits of the code of each byte, 0 to 255.
const LENGTHS = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
  28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6,
  5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23,
  22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22,
  23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26,
  20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27,
  27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27,
  27, 27, 27, 26,
]
const LONGEST = 30

// For each length: the first code, how many there are, and where their symbols begin in SYMBOLS.
const FIRST: number[] = []
const COUNT: number[] = []
const OFFSET: number[] = []
const SYMBOLS: number[] = []
for (let length = 1, code = 0; length <= LONGEST; length++, code <<= 1) {
  FIRST[length] = code
  OFFSET[length] = SYMBOLS.length
  for (let symbol = 0; symbol < 256; symbol++) if (LENGTHS[symbol] === length) SYMBOLS.push(symbol)
  COUNT[length] = SYMBOLS.length - OFFSET[length]
  code += COUNT[length]
}

/** Latin1 text. Throws RangeError for what is no such code, or longer than `most` characters. */
export function huffmanText(bytes: Uint8Array, most: number): string {
  let text = ''
  let code = 0
  let length = 0
  for (const byte of bytes) {
    for (let bit = 7; bit >= 0; bit--) {
      code = (code << 1) | ((byte >> bit) & 1)
      length++
      const index = code - FIRST[length]
      if (index >= 0 && index < COUNT[length]) {
        if (text.length === most) throw new RangeError('a header that is too long')
        text += String.fromCharCode(SYMBOLS[OFFSET[length] + index])
        code = 0
        length = 0
      } else if (length === LONGEST) throw new RangeError('a header whose Huffman code is none')
    }
  }
  // RFC 7541 5.2: the padding is less than a byte, and all ones.
  if (length > 7 || code !== (1 << length) - 1) throw new RangeError('a header whose padding is none')
  return text
}
