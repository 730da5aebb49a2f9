/// The text of a statement as a record keeps it: without secrets and without the literals that are not to be stored,
/// and not longer than the limit. What was cut off is told at its end: ` ... [16384 of 123456 bytes]`, with the
/// SHA-256 of the whole where that says nothing about what was left out. In ASCII, because the database's encoding
/// may be any.
struct RecordText {
  /// The most bytes of a record, whatever the ring has room for.
  static let most: UInt64 = 1 << 28
  /// ` ... [` + 19 digits + ` of ` + 19 digits + ` bytes, sha256 ` + 64 digits + `] `
  static let markRoom = 144
  /// A comment at the end, kept behind the mark: `/*traceparent='…'*/`
  static let longestComment = 2048

  let text: ByteView
  /// The text has a secret, or may have one.
  let hasSecret: Bool
  /// Where it cannot be told where.
  let everyLiteral: Bool
  let redacted: Lent<Int32>
  /// 32 bytes, or none.
  let digest: ByteView
  /// How much of the text is kept.
  private let kept: Int
  private let comment: ByteView

  init(
    _ text: ByteView, kept: Int, hasSecret: Bool, everyLiteral: Bool, redacted: Lent<Int32>, digest: ByteView
  ) {
    self.text = text
    self.hasSecret = hasSecret
    self.everyLiteral = everyLiteral
    self.redacted = redacted
    self.digest = digest
    comment = kept < text.count ? Self.comment(in: text, redacted) : .null
    // A comment that was cut in two would be read as one that never ends.
    self.kept = min(kept, text.count &- comment.count)
  }

  /// What a comment may come to whose secrets are removed.
  static func commentRoom(_ text: ByteView, _ redacted: Lent<Int32>) -> Int { 2 &* comment(in: text, redacted).count }

  /// How many bytes it may come to. Three stars in place of an empty literal make a text longer.
  func room(limit: Int) -> Int {
    let isChanged = hasSecret || redacted.count > 0
    let body = isChanged ? max(min(3 &* kept &+ 16, limit), kept) : kept
    let isCut = kept < text.count || isChanged
    return isCut ? body &+ Self.markRoom &+ comment.count &* 2 : body
  }

  func write(room: Int, into writer: inout ByteWriter) {
    var body = writer.part(room &- (Self.markRoom &+ comment.count &* 2))
    let isWhole = writeBody(into: &body)
    writer.skip(body.count)
    guard kept < text.count || !isWhole else { return }
    writeMark(into: &writer)
    // Where a secret is named it may be that the literal with it does not end, and the comment is part of it.
    guard comment.count > 0, !(Secrets.mayBe(in: text) && Secrets.areNamed(in: text)) else { return }
    writer.append(0x20)
    var end = writer.part(comment.count &* 2)
    if hasSecret || Secrets.mayBe(in: comment) {
      Secrets.remove(from: comment, everyLiteral: everyLiteral, into: &end)
    } else {
      end.append(comment)
    }
    writer.skip(end.count)
  }

  /// False where there was not room for all that is kept.
  private func writeBody(into body: inout ByteWriter) -> Bool {
    let prefix = text.prefix(kept)
    if redacted.count == 0 {
      if hasSecret {
        Secrets.remove(from: prefix, everyLiteral: everyLiteral, into: &body)
      } else {
        body.append(cutting: prefix)
      }
    } else if !hasSecret {
      Redaction.remove(redacted, from: prefix, into: &body)
    } else {
      var output = body
      ByteWriter.withScratch(3 &* kept &+ 16) { scratch in
        Redaction.remove(redacted, from: prefix, into: &scratch)
        Secrets.remove(from: scratch.written(since: 0), everyLiteral: everyLiteral, into: &output)
      }
      body = output
    }
    return !body.overflowed
  }

  private func writeMark(into writer: inout ByteWriter) {
    writer.append(" ... [")
    writer.append(decimal: UInt64(truncatingIfNeeded: kept))
    writer.append(" of ")
    writer.append(decimal: UInt64(truncatingIfNeeded: text.count))
    writer.append(" bytes")
    if isDigestTold {
      writer.append(", sha256 ")
      for index in 0..<digest.count { writer.append(hex: digest[index]) }
    }
    writer.append(0x5D)
  }

  /// Who knows all of a text but a value that was left out could find that by trying.
  private var isDigestTold: Bool {
    digest.count == 32 && !everyLiteral && redacted.count == 0
      && !(Secrets.mayBe(in: text) && SecretWords.firstEnd(in: text) != nil)
  }

  /// A comment of the form `/*key='value'*/` that the text ends in; white space and semicolons may follow it. None where
  /// a literal that is not to be stored would be in it.
  private static func comment(in text: ByteView, _ redacted: Lent<Int32>) -> ByteView {
    guard let comment = StatementComment.trailing(in: text, within: longestComment) else { return .null }
    let content = StatementComment.content(of: text.slice(comment.start, comment.end))
    guard content.contains("='") else { return .null }
    for offset in redacted where Int(offset) >= comment.start { return .null }
    return text.slice(comment.start, text.count)
  }
}
