import Contract

/// Strings within JSON text.
enum JSONString {
  /// Writes what the inside of a string stands for. False where it cannot be written in the server's encoding: a zero,
  /// half a surrogate pair, or, unless that is UTF-8, anything beyond ASCII that is escaped.
  static func decode(_ inside: ByteView, _ encoding: WardenEncoding, to writer: inout ByteWriter) -> Bool {
    var index = 0
    while index < inside.count {
      guard inside[index] == 0x5C else {
        writer.append(inside[index])
        index &+= 1
        continue
      }
      let escape = inside[index &+ 1]
      index &+= 2
      guard escape == 0x75 else {
        guard let byte = simple(escape) else { return false }
        writer.append(byte)
        continue
      }
      guard let code = code(inside, &index), code > 0, code < 0x80 || encoding == WARDEN_ENCODING_UTF8 else {
        return false
      }
      append(code, to: &writer)
    }
    return !writer.overflowed
  }

  private static func simple(_ escape: UInt8) -> UInt8? {
    switch escape {
    case 0x22, 0x2F, 0x5C: escape
    case 0x62: 8
    case 0x66: 12
    case 0x6E: 10
    case 0x72: 13
    case 0x74: 9
    default: nil
    }
  }

  /// Behind \u; of a surrogate pair both.
  private static func code(_ inside: ByteView, _ index: inout Int) -> UInt32? {
    guard let first = unit(inside, index) else { return nil }
    index &+= 4
    guard first >= 0xD800, first < 0xE000 else { return first }
    guard first < 0xDC00, inside[index] == 0x5C, inside[index &+ 1] == 0x75, let second = unit(inside, index &+ 2),
      second >= 0xDC00, second < 0xE000
    else { return nil }
    index &+= 6
    return 0x10000 &+ (first & 0x3FF) << 10 &+ (second & 0x3FF)
  }

  private static func unit(_ inside: ByteView, _ index: Int) -> UInt32? {
    var unit: UInt32 = 0
    for offset in 0..<4 {
      let byte = inside[index &+ offset]
      guard ScrubBytes.isHex(byte) else { return nil }
      unit = unit << 4 | UInt32(ScrubBytes.isDigit(byte) ? byte & 15 : (byte & 15) &+ 9)
    }
    return unit
  }

  /// As UTF-8.
  private static func append(_ code: UInt32, to writer: inout ByteWriter) {
    let tail = UInt8(truncatingIfNeeded: code & 0x3F) | 0x80
    let middle = UInt8(truncatingIfNeeded: code >> 6 & 0x3F) | 0x80
    let high = UInt8(truncatingIfNeeded: code >> 12 & 0x3F) | 0x80
    switch code {
    case ..<0x80: writer.append(UInt8(truncatingIfNeeded: code))
    case ..<0x800:
      writer.append(0xC0 | UInt8(truncatingIfNeeded: code >> 6))
      writer.append(tail)
    case ..<0x10000:
      writer.append(0xE0 | UInt8(truncatingIfNeeded: code >> 12))
      writer.append(middle)
      writer.append(tail)
    default:
      writer.append(0xF0 | UInt8(truncatingIfNeeded: code >> 18))
      writer.append(high)
      writer.append(middle)
      writer.append(tail)
    }
  }

  /// Writes the text as a string, in whatever encoding it is.
  static func encode(_ text: ByteView, to writer: inout ByteWriter) {
    writer.append(0x22)
    for index in 0..<text.count {
      let byte = text[index]
      if byte < 0x20 {
        writer.append("\\u00")
        writer.append(hex: byte)
      } else {
        if byte == 0x22 || byte == 0x5C { writer.append(0x5C) }
        writer.append(byte)
      }
    }
    writer.append(0x22)
  }
}
