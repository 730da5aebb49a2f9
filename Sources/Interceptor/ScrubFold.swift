import Contract

/// A text as it is searched: characters that look like ASCII are ASCII, and those that nobody sees are gone.
///
/// So that neither full-width digits nor a soft hyphen within a number hide it. What is written into the result comes
/// from the text itself, which is walked along in step.
struct ScrubFold {
  /// What a character stands for.
  enum Meaning {
    case itself
    case nothing
    case ascii(UInt8)
  }

  private let source: ByteView
  private let encoding: WardenEncoding
  /// What is searched.
  let text: ByteView
  /// Position in `source`, and the one in `text` that belongs to it.
  private var at = 0
  private var folded = 0

  /// nil where `work` has no room for a text of that length.
  init?(_ source: ByteView, encoding: WardenEncoding, work: inout ByteWriter) {
    self.source = source
    self.encoding = encoding
    guard ScrubFold.isFolded(source, encoding) else {
      text = source
      return
    }
    let start = work.count
    var index = 0
    while index < source.count {
      let (meaning, length) = ScrubFold.character(source, index, encoding)
      switch meaning {
      case .itself: work.append(source.slice(index, index &+ length))
      case .ascii(let byte): work.append(byte)
      case .nothing: break
      }
      index &+= length
    }
    guard !work.overflowed else { return nil }
    text = work.written(since: start)
  }

  private static func isFolded(_ source: ByteView, _ encoding: WardenEncoding) -> Bool {
    var index = 0
    while index < source.count {
      if source[index] < 0x80 {
        index &+= 1
        continue
      }
      let (meaning, length) = character(source, index, encoding)
      guard case .itself = meaning else { return true }
      index &+= length
    }
    return false
  }

  /// Takes what belongs to `text` up to `position` out of the source: into `writer`, or nowhere.
  mutating func pass(to position: Int, into writer: inout ByteWriter, isShown: Bool) {
    if text.count == source.count {
      // Byte by byte the same positions: a character never grows by folding.
      if isShown { writer.append(source.slice(at, position)) }
      at = position
      folded = position
      return
    }
    let start = at
    while folded < position, at < source.count {
      let (meaning, length) = ScrubFold.character(source, at, encoding)
      switch meaning {
      case .itself: folded &+= length
      case .ascii: folded &+= 1
      case .nothing: break
      }
      at &+= length
    }
    if isShown { writer.append(source.slice(start, at)) }
  }

  /// What is left when the search has ended.
  mutating func passRest(into writer: inout ByteWriter) {
    writer.append(source.slice(at, source.count))
    at = source.count
  }

  @inline(__always)
  private static func character(
    _ source: ByteView, _ index: Int, _ encoding: WardenEncoding
  ) -> (meaning: Meaning, length: Int) {
    let byte = source[index]
    guard byte >= 0x80 else { return (.itself, 1) }
    guard encoding == WARDEN_ENCODING_UTF8 else {
      // No-break space and soft hyphen, where almost every single-byte encoding has them.
      return (byte == 0xA0 ? .ascii(0x20) : byte == 0xAD ? .nothing : .itself, 1)
    }
    let length = UTF8Shape.length(in: source, at: index)
    switch length {
    case 2: return (ScrubLookalikes.meaning(UInt32(byte & 0x1F) << 6 | UInt32(source[index &+ 1] & 0x3F)), 2)
    case 3:
      let low = UInt32(source[index &+ 1] & 0x3F) << 6 | UInt32(source[index &+ 2] & 0x3F)
      return (ScrubLookalikes.meaning(UInt32(byte & 0x0F) << 12 | low), 3)
    case 4:
      let low = UInt32(source[index &+ 2] & 0x3F) << 6 | UInt32(source[index &+ 3] & 0x3F)
      return (ScrubLookalikes.meaning(UInt32(byte & 7) << 18 | UInt32(source[index &+ 1] & 0x3F) << 12 | low), 4)
    default: return (.itself, 1)
    }
  }
}

/// Characters that are taken for ASCII ones, or not seen at all (The Unicode Standard 15.0, code charts).
enum ScrubLookalikes {
  static func meaning(_ code: UInt32) -> ScrubFold.Meaning {
    switch code {
    case 0x00A0, 0x1680, 0x2000...0x200A, 0x202F, 0x205F, 0x3000: .ascii(0x20)
    // Soft hyphen, joiners, marks of direction, variation selectors.
    case 0x00AD, 0x034F, 0x061C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B...0x180E, 0x200B...0x200F, 0x202A...0x202E,
      0x2060...0x206F, 0x3164, 0xFE00...0xFE0F, 0xFEFF, 0xFFA0, 0xE0000...0xE0FFF:
      .nothing
    case 0x2010...0x2015, 0x2043, 0x2212, 0xFE58, 0xFE63: .ascii(0x2D)
    case 0x2024, 0x3002, 0xFE52, 0xFF61: .ascii(0x2E)
    case 0x2044, 0x2215: .ascii(0x2F)
    case 0x2236, 0xA789, 0xFE55: .ascii(0x3A)
    case 0xFE6B: .ascii(0x40)
    case 0xFE62: .ascii(0x2B)
    case 0xFF01...0xFF5E: .ascii(UInt8(truncatingIfNeeded: code &- 0xFEE0))
    default: digit(code)
    }
  }

  /// Decimal digits of other scripts, and those of mathematical alphabets.
  private static func digit(_ code: UInt32) -> ScrubFold.Meaning {
    let zero: UInt32
    switch code {
    case 0x0660...0x0669: zero = 0x0660
    case 0x06F0...0x06F9: zero = 0x06F0
    case 0x07C0...0x07C9: zero = 0x07C0
    case 0x0966...0x096F: zero = 0x0966
    case 0x09E6...0x09EF: zero = 0x09E6
    case 0x0A66...0x0A6F: zero = 0x0A66
    case 0x0AE6...0x0AEF: zero = 0x0AE6
    case 0x0BE6...0x0BEF: zero = 0x0BE6
    case 0x0C66...0x0C6F: zero = 0x0C66
    case 0x0E50...0x0E59: zero = 0x0E50
    case 0x17E0...0x17E9: zero = 0x17E0
    case 0x1D7CE...0x1D7FF: return .ascii(UInt8(truncatingIfNeeded: 48 &+ (code &- 0x1D7CE) % 10))
    default: return .itself
    }
    return .ascii(UInt8(truncatingIfNeeded: 48 &+ code &- zero))
  }
}
