import Contract

/// How the bytes of a text fall into characters.
struct CharacterWalk {
  let text: TextView
  let encoding: WardenEncoding

  /// Where the character at `position` ends. A byte that is no part of valid UTF-8 is a character of its own, so that
  /// an invalid sequence never shows more than was asked for.
  func end(after position: Int) -> Int {
    guard encoding == WARDEN_ENCODING_UTF8, let lead = text.bytes.element(at: position) else {
      return position &+ 1
    }
    let trailing: Int
    switch lead {
    case 0xC2...0xDF: trailing = 1
    case 0xE0...0xEF: trailing = 2
    case 0xF0...0xF4: trailing = 3
    default: trailing = 0
    }
    var next = position &+ 1
    for _ in 0..<trailing {
      guard let byte = text.bytes.element(at: next), byte & 0xC0 == 0x80 else { return position &+ 1 }
      next &+= 1
    }
    return next
  }

  var count: Int {
    var characters = 0
    var position = 0
    while position < text.count {
      position = end(after: position)
      characters &+= 1
    }
    return characters
  }

  /// Where the character with this number, counted from 0, begins.
  func start(of character: Int) -> Int {
    var position = 0
    var passed = 0
    while passed < character, position < text.count {
      position = end(after: position)
      passed &+= 1
    }
    return position
  }
}

/// The masks on text that show a part of it.
enum MaskText {
  /// The first `prefix` and the last `suffix` characters stay, all between becomes `fill`; `fill` alone where less
  /// would be hidden than shown.
  static func partial(
    _ value: TextView, prefix: Int32, suffix: Int32, fill: TextView, encoding: WardenEncoding,
    to writer: inout TextWriter
  ) {
    let walk = CharacterWalk(text: value, encoding: encoding)
    let count = walk.count
    let first = max(0, Int(prefix))
    let last = max(0, Int(suffix))
    let shown = first &+ last
    guard encoding != WARDEN_ENCODING_OPAQUE, shown > 0, shown < count &- shown else { return writer.append(fill) }
    append(value, from: 0, to: walk.start(of: first), to: &writer)
    writer.append(fill)
    append(value, from: walk.start(of: count &- last), to: value.count, to: &writer)
  }

  /// The first character and the last label of the domain stay.
  static func email(_ value: TextView, encoding: WardenEncoding, to writer: inout TextWriter) {
    guard encoding != WARDEN_ENCODING_OPAQUE, let address = Address(value) else { return writer.append("***") }
    let end = CharacterWalk(text: value, encoding: encoding).end(after: 0)
    // A first character beyond ASCII that is not valid would make the result invalid.
    guard let lead = value.bytes.element(at: 0), lead < 0x80 || end > 1 || encoding != WARDEN_ENCODING_UTF8 else {
      return writer.append("***")
    }
    append(value, from: 0, to: end, to: &writer)
    writer.append("***@***")
    append(value, from: address.lastDot, to: value.count, to: &writer)
  }

  private static func append(_ value: TextView, from start: Int, to end: Int, to writer: inout TextWriter) {
    var position = start
    while position < end, let byte = value.bytes.element(at: position) {
      writer.append(byte)
      position &+= 1
    }
  }
}

/// A text of the form local@label.label: what is not one, free text that holds one, say, shows nothing.
private struct Address {
  /// Where the last dot of the domain is.
  let lastDot: Int

  init?(_ text: TextView) {
    var at: Int?
    var dot: Int?
    var position = 0
    for byte in text.bytes {
      guard byte > 32, byte != 127 else { return nil }
      if byte == 64 {
        guard at == nil, position > 0 else { return nil }
        at = position
      } else if byte == 46, at != nil {
        dot = position
      }
      position &+= 1
    }
    guard let at, let dot, dot > at &+ 1, Address.isTopLevel(text, after: dot) else { return nil }
    lastDot = dot
  }

  /// Letters, digits and hyphens, a letter first, as in every top-level domain; anything else could be data.
  private static func isTopLevel(_ text: TextView, after dot: Int) -> Bool {
    let length = text.count &- dot &- 1
    guard length >= 2, length <= 63 else { return false }
    var position = dot &+ 1
    while let byte = text.bytes.element(at: position) {
      let lower = byte | 32
      let isLetter = lower >= 97 && lower <= 122
      let isOther = byte == 45 || (byte >= 48 && byte <= 57)
      guard isLetter || (isOther && position > dot &+ 1) else { return false }
      position &+= 1
    }
    return true
  }
}
