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
}
