/// Comments in the text of a statement, for what applications tell in them.
enum StatementComment {
  /// The comment that `text` ends in, but for white space and semicolons; found from the end, so that a long text is
  /// not read for it. None where it is longer than `limit`.
  static func trailing(in text: ByteView, within limit: Int) -> (start: Int, end: Int)? {
    var end = text.count
    while end > 0, SQLLexer.isSpace(text[end &- 1]) || text[end &- 1] == 0x3B { end &-= 1 }
    guard end >= 4, text.count &- end <= limit, text[end &- 2] == 0x2A, text[end &- 1] == 0x2F else { return nil }
    var start = end &- 4
    while start >= 0, end &- start <= limit {
      if text[start] == 0x2F, text[start &+ 1] == 0x2A { return (start, end) }
      if text[start] == 0x2A, text[start &+ 1] == 0x2F { return nil }
      start &-= 1
    }
    return nil
  }

  /// What is between `/*` and `*/`, without white space around it.
  static func content(of comment: ByteView) -> ByteView {
    var start = 2
    var end = comment.count &- 2
    while start < end, SQLLexer.isSpace(comment[start]) { start &+= 1 }
    while end > start, SQLLexer.isSpace(comment[end &- 1]) { end &-= 1 }
    return comment.slice(start, end)
  }

  /// The comments that may have tags: the last one, then one that the statement begins with. Comments of one line do
  /// not count.
  static func candidates(in text: ByteView) -> [ByteView] {
    guard text.contains("/*") else { return [] }
    if let kept = behindMark(text) { return [kept] }
    let lexer = SQLLexer(text: text)
    var first: ByteView?
    var last: ByteView?
    var index = 0
    var isAtStart = true
    while index < text.count {
      let token = lexer.token(at: index)
      if token.kind == .blockComment, token.isClosed {
        last = text.slice(index, token.end)
        if isAtStart { first = last }
      }
      if token.kind != .space, token.kind != .lineComment { isAtStart = false }
      index = max(token.end, index &+ 1)
    }
    return [last, first].compactMap { $0 }
  }

  /// The comment behind ` ... [16384 of 123456 bytes, sha256 …]`: what was cut off may have been in a literal, so that
  /// there is no reading up to it.
  private static func behindMark(_ text: ByteView) -> ByteView? {
    guard let comment = trailing(in: text, within: RecordText.longestComment) else { return nil }
    var start = comment.start &- 1
    guard text[start] == 0x20, text[start &- 1] == 0x5D else { return nil }
    start &-= 2
    while start >= 0, comment.start &- start <= RecordText.markRoom {
      if text.hasBytes(of: ByteView(" ... ["), at: start) {
        let mark = text.slice(start, comment.start)
        return mark.contains(" bytes") && mark.contains(" of ") ? text.slice(comment.start, comment.end) : nil
      }
      start &-= 1
    }
    return nil
  }
}
