/// Removes the literals that C points at, because they are compared with or stored into columns whose values are not
/// to be in the audit.
///
/// C knows where a literal begins and nothing of its form; the form is found here. What is not a literal there goes
/// too, up to the end of its token: a record that says too little is better than one that says too much.
struct Redaction {
  private let lexer: SQLLexer
  private var writer: ByteWriter
  /// How much of the text has been written or left out.
  private var done = 0

  private init(_ text: ByteView, writer: ByteWriter) {
    lexer = SQLLexer(text: text)
    self.writer = writer
  }

  /// - Parameter offsets: ascending; what is not in the text is passed over.
  static func remove(_ offsets: Lent<Int32>, from text: ByteView, into writer: inout ByteWriter) {
    var redaction = Redaction(text, writer: writer)
    if isAscending(offsets) {
      for offset in offsets { redaction.remove(at: Int(offset)) }
    } else {
      for offset in Array(offsets).sorted() { redaction.remove(at: Int(offset)) }
    }
    redaction.copy(upTo: text.count)
    writer = redaction.writer
  }

  private static func isAscending(_ offsets: Lent<Int32>) -> Bool {
    var last = Int32.min
    for offset in offsets {
      if offset < last { return false }
      last = offset
    }
    return true
  }

  private mutating func copy(upTo end: Int) {
    guard end > done else { return }
    writer.append(cutting: lexer.text.slice(done, end))
    done = end
  }

  private mutating func remove(at offset: Int) {
    guard offset >= 0, offset < lexer.text.count, !writer.overflowed else { return }
    let start = SQLLexer.isSpace(lexer.text[offset]) ? lexer.token(at: offset).end : offset
    guard start < lexer.text.count else { return }
    let (end, isString) = literal(at: start)
    // Within one that is gone already: one of the two is not where C said, so both go.
    guard start >= done else {
      done = max(done, end)
      return
    }
    copy(upTo: start)
    writer.append(cutting: ByteView(isString ? "'***'" : "***"))
    done = end
  }

  /// Where it ends.
  private func literal(at start: Int) -> (end: Int, isString: Bool) {
    var token = lexer.token(at: start)
    // A sign belongs to its number.
    while token.kind == .sign, lexer.text[token.end &- 1] == 0x2B || lexer.text[token.end &- 1] == 0x2D {
      token = lexer.token(at: lexer.skipBlank(token.end))
    }
    if token.kind == .word {
      // DATE '2026-01-01'
      let next = lexer.token(at: lexer.skipBlank(token.end))
      if next.kind == .literal { token = next }
    }
    let isString = token.kind == .literal || token.kind == .identifier
    return (token.isAmbiguous ? lexer.text.count : token.end, isString)
  }
}
