const alphabet = "abcdefghijklmnopqrstuvwxyz234567";

/** Lower case and without padding, so that it may stand in the name of a host. */
export const toBase32 = (bytes: Uint8Array): string => {
  let text = "";
  let held = 0;
  let bits = 0;
  for (const byte of bytes) {
    held = (held << 8) | byte;
    for (bits += 8; bits >= 5; bits -= 5) text += alphabet.charAt((held >>> (bits - 5)) & 31);
    held &= 0xff;
  }
  return bits === 0 ? text : text + alphabet.charAt((held << (5 - bits)) & 31);
};

/** Null for whatever `toBase32` would not have written: no two texts mean the same bytes. */
export const fromBase32 = (text: string): Uint8Array | null => {
  const bytes: number[] = [];
  let held = 0;
  let bits = 0;
  for (const letter of text) {
    const value = alphabet.indexOf(letter);
    if (value < 0) return null;
    held = ((held << 5) | value) & 0xfff;
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push((held >>> bits) & 0xff);
  }
  const read = Uint8Array.from(bytes);
  return toBase32(read) === text ? read : null;
};
