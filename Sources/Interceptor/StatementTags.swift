import Contract

/// Reads the tags that an application put into a comment of its statement: `/*route='%2Fusers',action='show'*/`.
///
/// Keys and values are URL-encoded, a quote in a value is `\'`. The form is sqlcommenter's; what a tag says is the
/// application's word and nothing more.
struct StatementTags {
  private var writer: ByteWriter

  private static let mostTags = 64

  init(writer: ByteWriter) { self.writer = writer }

  /// Writes the JSON object; nothing where there are no tags. Returns how long it is.
  mutating func write(_ text: ByteView) -> Int {
    for comment in StatementComment.candidates(in: text) {
      let content = StatementComment.content(of: comment)
      guard content.contains("=") else { continue }
      if let pairs = Self.pairs(content) {
        write(pairs, content)
      } else {
        writeComment(content)
      }
      return writer.count
    }
    return 0
  }

  /// Where the key and the value are; `'a'='b'` is no pair.
  private struct Pair {
    let key: ByteView
    let value: ByteView
  }

  /// nil where the comment is not a list of them.
  private static func pairs(_ content: ByteView) -> [Pair]? {
    var pairs: [Pair] = []
    var index = 0
    while index < content.count {
      let start = skipSpace(content, index)
      var equals = start
      while equals < content.count, content[equals] != 0x3D, content[equals] != 0x27 { equals &+= 1 }
      let key = trimmed(content.slice(start, equals))
      let quote = skipSpace(content, equals &+ 1)
      guard content[equals] == 0x3D, key.count > 0, content[quote] == 0x27 else { return nil }
      guard let close = closingQuote(content, quote &+ 1) else { return nil }
      if pairs.count < mostTags { pairs.append(Pair(key: key, value: content.slice(quote &+ 1, close))) }
      index = skipSpace(content, close &+ 1)
      if index < content.count {
        guard content[index] == 0x2C else { return nil }
        index &+= 1
      }
    }
    return pairs.isEmpty ? nil : pairs
  }

  private static func closingQuote(_ content: ByteView, _ start: Int) -> Int? {
    var index = start
    while index < content.count, content[index] != 0x27 {
      index &+= content[index] == 0x5C && content[index &+ 1] == 0x27 ? 2 : 1
    }
    return index < content.count ? index : nil
  }

  private static func skipSpace(_ text: ByteView, _ start: Int) -> Int {
    var index = start
    while index < text.count, SQLLexer.isSpace(text[index]) { index &+= 1 }
    return index
  }

  private static func trimmed(_ text: ByteView) -> ByteView {
    var end = text.count
    while end > 0, SQLLexer.isSpace(text[end &- 1]) { end &-= 1 }
    return text.prefix(end)
  }

  // MARK: JSON

  /// Of tags with the same key the last counts. What does not fit is left out, tag by tag.
  private mutating func write(_ pairs: [Pair], _ content: ByteView) {
    var output = writer
    ByteWriter.withScratch(content.count) { scratch in
      let decoded = pairs.map { Pair(key: decode($0.key, &scratch), value: decode($0.value, &scratch)) }
      output.append(0x7B)
      for (index, pair) in decoded.enumerated() {
        if decoded.dropFirst(index &+ 1).contains(where: { $0.key.isEqual(to: pair.key) }) { continue }
        let start = output.count
        if start > 1 { output.append(0x2C) }
        output.append(json: pair.key)
        output.append(0x3A)
        output.append(json: pair.value)
        if output.overflowed || output.room < 1 { output.rewind(to: start) }
      }
      output.append(0x7D)
    }
    writer = output.count > 2 ? output : writer
  }

  /// `%2F` is `/`, `\'` is `'`; what is no such thing stays.
  private func decode(_ text: ByteView, _ scratch: inout ByteWriter) -> ByteView {
    let start = scratch.count
    var index = 0
    while index < text.count {
      if text[index] == 0x25, let high = Self.digit(text[index &+ 1]), let low = Self.digit(text[index &+ 2]) {
        scratch.append(high << 4 | low)
        index &+= 3
      } else {
        if text[index] == 0x5C, text[index &+ 1] == 0x27 { index &+= 1 }
        scratch.append(text[index])
        index &+= 1
      }
    }
    return scratch.written(since: start)
  }

  private static func digit(_ byte: UInt8) -> UInt8? {
    if SQLLexer.isDigit(byte) { return byte &- 0x30 }
    let letter = byte | 0x20
    return letter >= 0x61 && letter <= 0x66 ? letter &- 0x57 : nil
  }

  /// As much of it as there is room for; a control character takes six bytes.
  private mutating func writeComment(_ content: ByteView) {
    var length = min(content.count, writer.capacity)
    while length > 0 {
      writer.append("{\"comment\":")
      writer.append(json: content.prefix(UTF8Shape.cut(content, to: length)))
      writer.append(0x7D)
      if !writer.overflowed { return }
      writer.rewind(to: 0)
      length /= 2
    }
  }
}
