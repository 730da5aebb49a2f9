/// What PostgreSQL's own scanner would take for one token, as far as it matters where literals and comments begin and
/// end. Reads nothing beyond the text, whatever is in it.
struct SQLLexer {
  enum Kind {
    case space, lineComment, blockComment
    /// `'…'`, with or without a letter before it; `$tag$…$tag$`
    case literal
    case number, word, identifier, parameter
    /// any other byte, alone
    case sign
  }

  struct Token {
    let kind: Kind
    /// Where the next one begins.
    let end: Int
    /// Its end is in the text.
    var isClosed = true
    /// A backslash before a quote: whether the literal ends there depends on a setting of the session.
    var isAmbiguous = false
  }

  let text: ByteView

  /// The token that begins at `start`; at the end of the text an empty one.
  func token(at start: Int) -> Token {
    guard start >= 0, start < text.count else { return Token(kind: .space, end: text.count) }
    let byte = text[start]
    if Self.isSpace(byte) { return Token(kind: .space, end: end(of: start, where: Self.isSpace)) }
    if let quote = quote(at: start) { return literal(quote, isEscape: quote > start && byte | 0x20 == 0x65) }
    if Self.isDigit(byte) || (byte == 0x2E && Self.isDigit(text[start &+ 1])) { return number(start) }
    if Self.isWordByte(byte) { return Token(kind: .word, end: end(of: start) { Self.isWordByte($0) || $0 == 0x24 }) }
    switch byte {
    case 0x22: return identifier(start)
    case 0x24: return dollar(start)
    case 0x2D where text[start &+ 1] == 0x2D: return Token(kind: .lineComment, end: lineEnd(start))
    case 0x2F where text[start &+ 1] == 0x2A: return blockComment(start)
    default: return Token(kind: .sign, end: start &+ 1)
    }
  }

  /// Behind white space and comments.
  func skipBlank(_ start: Int) -> Int {
    var index = start
    while index < text.count {
      let next = token(at: index)
      guard next.kind == .space || next.kind == .lineComment || next.kind == .blockComment else { break }
      index = next.end
    }
    return index
  }

  static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (byte >= 0x09 && byte <= 0x0D) }

  static func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }

  static func isWordByte(_ byte: UInt8) -> Bool {
    let letter = byte | 0x20
    return (letter >= 0x61 && letter <= 0x7A) || isDigit(byte) || byte == 0x5F || byte >= 0x80
  }

  private func end(of start: Int, where belongs: (UInt8) -> Bool) -> Int {
    var index = start &+ 1
    while index < text.count, belongs(text[index]) { index &+= 1 }
    return index
  }

  // MARK: Literals

  /// The opening quote of a literal that begins at `start`, be it with one of the letters E, B, X, N or with U&.
  private func quote(at start: Int) -> Int? {
    if text[start] == 0x27 { return start }
    switch text[start] | 0x20 {
    case 0x62, 0x65, 0x6E, 0x78: return text[start &+ 1] == 0x27 ? start &+ 1 : nil
    case 0x75: return text[start &+ 1] == 0x26 && text[start &+ 2] == 0x27 ? start &+ 2 : nil
    default: return nil
    }
  }

  private func literal(_ quote: Int, isEscape: Bool) -> Token {
    var index = quote &+ 1
    var isAmbiguous = false
    while index < text.count {
      if isEscape, text[index] == 0x5C {
        index &+= 2
      } else if text[index] != 0x27 {
        index &+= 1
      } else if text[index &+ 1] == 0x27 {
        isAmbiguous = isAmbiguous || (text[index &- 1] == 0x5C && !isEscape && index &- 1 > quote)
        index &+= 2
      } else {
        isAmbiguous = isAmbiguous || (text[index &- 1] == 0x5C && !isEscape && index &- 1 > quote)
        guard let next = continuation(index &+ 1) else {
          return Token(kind: .literal, end: index &+ 1, isAmbiguous: isAmbiguous)
        }
        index = next &+ 1
      }
    }
    return Token(kind: .literal, end: text.count, isClosed: false, isAmbiguous: isAmbiguous)
  }

  /// The quote with which a literal goes on in another line; comments of one line may be between.
  private func continuation(_ start: Int) -> Int? {
    var index = start
    var hasNewline = false
    while index < text.count {
      if text[index] == 0x0A || text[index] == 0x0D {
        hasNewline = true
      } else if text[index] == 0x2D, text[index &+ 1] == 0x2D {
        index = lineEnd(index)
        continue
      } else if !Self.isSpace(text[index]) {
        break
      }
      index &+= 1
    }
    return hasNewline && text[index] == 0x27 ? index : nil
  }

  /// `$tag$…$tag$`, `$1`, or a mere dollar.
  private func dollar(_ start: Int) -> Token {
    if Self.isDigit(text[start &+ 1]) { return Token(kind: .parameter, end: end(of: start, where: Self.isWordByte)) }
    let tagEnd = end(of: start, where: Self.isWordByte)
    guard text[tagEnd] == 0x24 else { return Token(kind: .sign, end: start &+ 1) }
    let length = tagEnd &+ 1 &- start
    var index = tagEnd &+ 1
    while index <= text.count &- length {
      var matched = 0
      while matched < length, text[index &+ matched] == text[start &+ matched] { matched &+= 1 }
      if matched == length { return Token(kind: .literal, end: index &+ length) }
      // What has been matched has no second dollar in it.
      index &+= max(matched, 1)
    }
    return Token(kind: .literal, end: text.count, isClosed: false)
  }

  /// With a fraction, an exponent, digits of another base; what follows at once belongs to it.
  private func number(_ start: Int) -> Token {
    let isOfOtherBase = text[start] == 0x30 && Self.isWordByte(text[start &+ 1]) && !Self.isDigit(text[start &+ 1])
    var index = start
    while index < text.count {
      let byte = text[index]
      let isSign = byte == 0x2B || byte == 0x2D
      let isExponent = isSign && index > start && text[index &- 1] | 0x20 == 0x65 && Self.isDigit(text[index &+ 1])
      guard Self.isWordByte(byte) || byte == 0x2E || (isExponent && !isOfOtherBase) else { break }
      index &+= 1
    }
    return Token(kind: .number, end: index)
  }

  // MARK: Identifiers, comments

  private func identifier(_ start: Int) -> Token {
    var index = start &+ 1
    while index < text.count {
      if text[index] != 0x22 {
        index &+= 1
      } else if text[index &+ 1] == 0x22 {
        index &+= 2
      } else {
        return Token(kind: .identifier, end: index &+ 1)
      }
    }
    return Token(kind: .identifier, end: text.count, isClosed: false)
  }

  private func lineEnd(_ start: Int) -> Int { end(of: start) { $0 != 0x0A && $0 != 0x0D } }

  /// Comments nest.
  private func blockComment(_ start: Int) -> Token {
    var index = start &+ 2
    var depth = 1
    while index < text.count, depth > 0 {
      if text[index] == 0x2F, text[index &+ 1] == 0x2A {
        depth &+= 1
        index &+= 2
      } else if text[index] == 0x2A, text[index &+ 1] == 0x2F {
        depth &-= 1
        index &+= 2
      } else {
        index &+= 1
      }
    }
    return Token(kind: .blockComment, end: min(index, text.count), isClosed: depth == 0)
  }
}
