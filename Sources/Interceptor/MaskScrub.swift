import Contract

extension MaskMethod {
  /// Free text without the personal data and the secrets in it; of JSON every string, every number and every key.
  static let scrub = MaskMethod(name: "scrub", kinds: [WARDEN_TYPE_TEXT, WARDEN_TYPE_JSON], masksElements: true) {
    (row, writer) throws(PolicyError) in
    let isJSON = row.type == WARDEN_TYPE_JSON || (row.isArray && row.element == WARDEN_TYPE_JSON)
    writer.append(isJSON ? "(warden.mask_json(" : "(warden.mask_scrub(")
    row.writeValue(as: "text", to: &writer)
    writer.append(isJSON ? ", 'scrub **'))" : "))")
  }
}

/// Finds personal data and secrets within free text and puts a marker in the place of each.
///
/// One pass finds what is told by a sign or a word (an @, a key's prefix, a scheme); between those, a second one finds
/// numbers. Each looks at every byte a bounded number of times, so that no text, however made, takes more than time in
/// proportion to its length.
struct MaskScrub {
  /// Something found.
  struct Match {
    let start: Int
    let end: Int
    /// nil: known to be harmless, and not to be searched any further.
    let marker: StaticString?
  }

  private var fold: ScrubFold
  private var writer: ByteWriter
  private(set) var found = 0

  /// False where `writer` or `work` have no room.
  static func write(
    _ value: ByteView, encoding: WardenEncoding, work: inout ByteWriter, to writer: inout ByteWriter
  ) -> Bool {
    guard encoding != WARDEN_ENCODING_OPAQUE else {
      writer.append("[redacted]")
      return !writer.overflowed
    }
    guard let fold = ScrubFold(value, encoding: encoding, work: &work) else { return false }
    var scrub = MaskScrub(fold: fold, writer: writer)
    scrub.run()
    writer = scrub.writer
    return !writer.overflowed
  }

  private mutating func run() {
    let text = fold.text
    var words = ScrubWords(text)
    var position = 0
    while let match = words.next() {
      scrubNumbers(position, match.start)
      put(match)
      position = match.end
    }
    scrubNumbers(position, text.count)
    fold.passRest(into: &writer)
  }

  private mutating func scrubNumbers(_ start: Int, _ end: Int) {
    var numbers = ScrubNumbers(fold.text.prefix(end), from: start)
    while let match = numbers.next() { put(match) }
  }

  private mutating func put(_ match: Match) {
    fold.pass(to: match.start, into: &writer, isShown: true)
    fold.pass(to: match.end, into: &writer, isShown: match.marker == nil)
    if let marker = match.marker { writer.append(marker) }
  }
}

/// What bytes are, for searching.
enum ScrubBytes {
  @inline(__always) static func isDigit(_ byte: UInt8) -> Bool { byte &- 0x30 < 10 }

  @inline(__always) static func isLetter(_ byte: UInt8) -> Bool { (byte | 0x20) &- 0x61 < 26 }

  @inline(__always) static func isUpper(_ byte: UInt8) -> Bool { byte &- 0x41 < 26 }

  @inline(__always) static func isAlphanumeric(_ byte: UInt8) -> Bool { isDigit(byte) || isLetter(byte) }

  @inline(__always) static func isHex(_ byte: UInt8) -> Bool { isDigit(byte) || (byte | 0x20) &- 0x61 < 6 }

  @inline(__always) static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte &- 9 < 5 }

  /// Letters, digits, hyphens and underscores: what tokens are made of.
  @inline(__always) static func isToken(_ byte: UInt8) -> Bool {
    isAlphanumeric(byte) || byte == 0x2D || byte == 0x5F
  }
}

extension ByteView {
  /// Are the bytes from `index` on this literal, written in lower case, in whatever case?
  func hasWord(_ literal: StaticString, at index: Int) -> Bool {
    let wanted = ByteView(literal)
    guard index >= 0, index <= count &- wanted.count else { return false }
    for offset in 0..<wanted.count {
      let byte = self[index &+ offset]
      let lower = byte &- 0x41 < 26 ? byte | 0x20 : byte
      if lower != wanted[offset] { return false }
    }
    return true
  }

  /// Are they this literal exactly?
  func hasBytes(_ literal: StaticString, at index: Int) -> Bool { hasBytes(of: ByteView(literal), at: index) }
}
