// Contrast of all text that is seen, as WCAG 2.2 (1.4.3) computes it. Runs inside the page.

export interface Faint {
  text: string
  ratio: number
}

/** Texts whose contrast with what lies behind them is below `least`. */
export function faintTexts(least: number): Faint[] {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true })!
  // Whatever the notation, a canvas gives bytes.
  const channels = (colour: string): number[] => {
    canvas.clearRect(0, 0, 1, 1)
    canvas.fillStyle = colour
    canvas.fillRect(0, 0, 1, 1)
    return [...canvas.getImageData(0, 0, 1, 1).data]
  }
  const over = (top: number[], below: number[]) => {
    const a = top[3] / 255
    return [0, 1, 2].map((i) => top[i] * a + below[i] * (1 - a))
  }
  const luminance = (colour: number[]) => {
    const [r, g, b] = colour.map((c) => {
      const s = c / 255
      return s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4
    })
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
  const ground = (element: Element | null): number[] => {
    if (!element) return [255, 255, 255]
    const own = channels(getComputedStyle(element).backgroundColor)
    return own[3] === 255 ? own.slice(0, 3) : over(own, ground(element.parentElement))
  }
  const faint: Faint[] = []
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement!
    const text = node.textContent!.trim()
    if (text === '' || !element.checkVisibility() || element.closest('.hidden, .skip, [aria-hidden]')) continue
    const below = ground(element)
    const [a, b] = [luminance(over(channels(getComputedStyle(element).color), below)), luminance(below)]
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)
    if (ratio < least) faint.push({ text, ratio })
  }
  return faint
}
