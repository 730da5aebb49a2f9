/// The message of an error as a record keeps it. A message may repeat what the statement's text and parameters are
/// recorded without: `invalid input syntax for type integer: "abc"`.
struct ErrorText {
  /// The text has, or may have, a secret.
  var hasSecret: Bool
  /// Literals or parameters are not to be stored.
  var withholds: Bool
  /// Raised by a function, so that the wording is the function's: nothing tells what of it is a value.
  var isOwnWording: Bool

  /// Writes what fits.
  func write(_ error: ByteView, into writer: inout ByteWriter) {
    let kept = error.prefix(UTF8Shape.cut(error, to: writer.capacity))
    guard withholds else { return removeSecrets(from: kept, into: &writer) }
    if isOwnWording { return writer.append("***") }
    var output = writer
    ByteWriter.withScratch(3 &* kept.count) { scratch in
      Self.removeValues(from: kept, isCut: kept.count < error.count, into: &scratch)
      removeSecrets(from: scratch.written(since: 0), into: &output)
    }
    writer = output
  }

  private func removeSecrets(from error: ByteView, into writer: inout ByteWriter) {
    if hasSecret || Secrets.mayBe(in: error) {
      Secrets.remove(from: error, everyLiteral: hasSecret, into: &writer)
    } else {
      writer.append(cutting: error)
    }
  }

  /// From the first quote to the last everything goes, because values may have quotes in them; without an end
  /// everything behind the first. So do words with digits in them: the server does not quote numbers.
  private static func removeValues(from error: ByteView, isCut: Bool, into writer: inout ByteWriter) {
    var first = error.count
    var last = 0
    var quotes = 0
    var index = 0
    while index < error.count {
      let length = quoteLength(error, index)
      if length > 0 {
        first = min(first, index)
        last = index &+ length
        quotes &+= 1
      }
      index &+= max(length, 1)
    }
    removeNumbers(from: error.prefix(first), into: &writer)
    guard quotes > 0 else { return }
    writer.append(cutting: ByteView("***"))
    if isCut || quotes & 1 == 1 { return }
    removeNumbers(from: error.slice(last, error.count), into: &writer)
  }

  /// Translated messages have quotes of their own: «…», „…“, 「…」.
  private static func quoteLength(_ text: ByteView, _ index: Int) -> Int {
    switch text[index] {
    case 0x22, 0x27, 0x60: 1
    case 0xC2 where text[index &+ 1] == 0xAB || text[index &+ 1] == 0xBB: 2
    case 0xE2 where text[index &+ 1] == 0x80:
      (text[index &+ 2] >= 0x98 && text[index &+ 2] <= 0x9F) || text[index &+ 2] == 0xB9 || text[index &+ 2] == 0xBA
        ? 3 : 0
    case 0xE3 where text[index &+ 1] == 0x80: text[index &+ 2] >= 0x8C && text[index &+ 2] <= 0x8F ? 3 : 0
    default: 0
    }
  }

  private static func removeNumbers(from text: ByteView, into writer: inout ByteWriter) {
    var index = 0
    while index < text.count {
      var end = index
      var hasDigit = false
      while end < text.count, SQLLexer.isWordByte(text[end]) {
        hasDigit = hasDigit || SQLLexer.isDigit(text[end])
        end &+= 1
      }
      if end == index { end &+= 1 }
      writer.append(cutting: hasDigit ? ByteView("***") : text.slice(index, end))
      index = end
    }
  }
}
