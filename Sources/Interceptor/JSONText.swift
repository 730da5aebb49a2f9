/// Strings of JSON.
extension ByteWriter {
  /// The text in quotes; what is not UTF-8, and zeros, become question marks.
  mutating func append(json text: ByteView) {
    append(0x22)
    var index = 0
    while index < text.count, !overflowed {
      let length = UTF8Shape.length(in: text, at: index)
      if length > 1 {
        append(text.slice(index, index &+ length))
      } else {
        append(jsonCharacter: text[index], isASCII: length == 1)
      }
      index &+= max(length, 1)
    }
    append(0x22)
  }

  /// jsonb refuses \u0000, so a zero counts as what is not UTF-8.
  private mutating func append(jsonCharacter byte: UInt8, isASCII: Bool) {
    guard isASCII, byte != 0 else { return append(0x3F) }
    if byte == 0x22 || byte == 0x5C {
      append(0x5C)
    } else if byte < 0x20 {
      append("\\u00")
      append(byte < 0x10 ? 0x30 : 0x31)
      let digit = byte & 0x0F
      return append(digit < 10 ? 0x30 &+ digit : 0x57 &+ digit)
    }
    append(byte)
  }
}
