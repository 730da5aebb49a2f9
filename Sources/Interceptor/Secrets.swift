import Contract

/// Removes passwords and sign-in tokens from the text of a statement.
///
/// Nearly no statement has one, so the first question, `mayBe`, is cheap and errs to yes. Where the answer is yes the
/// text is read as SQL, and what follows a word like PASSWORD is replaced by `***`. Where it cannot be told what
/// belongs to the secret (`'… PASSWORD ' || quote_literal(p)`) every literal of the statement goes: a record that
/// says too little is better than one that says a password.
enum Secrets {
  /// Removes them; what does not fit into `writer` is cut.
  /// - Parameter everyLiteral: all literals are removed, wherever they are.
  static func remove(from text: ByteView, everyLiteral: Bool, into writer: inout ByteWriter) {
    var scanner = SecretScanner(text, everyLiteral: everyLiteral, writer: writer)
    scanner.scanCode(0, text.count, depth: 0)
    if scanner.isAmbiguous && !everyLiteral {
      scanner = SecretScanner(text, everyLiteral: true, writer: writer)
      scanner.scanCode(0, text.count, depth: 0)
    }
    // A quote too few, and what looked like code was in a literal and the other way round.
    if scanner.isBroken, let end = SecretWords.firstEnd(in: text) {
      scanner = SecretScanner(text, everyLiteral: true, writer: writer)
      scanner.scanCode(0, end, depth: 0)
      scanner.writeRest()
    }
    writer = scanner.writer
  }

  /// The same for a value that is no SQL: a connection string, an address, JSON, or indeed SQL. False where the whole
  /// of it is to go.
  static func remove(fromValue value: ByteView, into writer: inout ByteWriter) -> Bool {
    var scanner = SecretScanner(value, everyLiteral: false, writer: writer)
    scanner.scanCode(0, value.count, depth: 1)
    writer = scanner.writer
    return !scanner.isAmbiguous && !scanner.isBroken && !writer.overflowed
  }

  /// Does a statement have one of the words, so that its parameters may be the secret?
  static func areNamed(in text: ByteView) -> Bool { SecretWords.firstEnd(in: text, orAddress: false) != nil }

  /// False where the text certainly has no word that a secret would follow.
  @inline(__always)
  static func mayBe(in text: ByteView) -> Bool {
    guard text.count >= 17 else { return mayBe(inShort: text) }
    // Pairs that are in `password`, `sign_in`, `token` and `://`, sixteen places at once. The last step overlaps
    // the one before.
    var index = 0
    while true {
      if text.hasPair(in: index), mayBe(inShort: text.slice(index &- 5, index &+ 24)) { return true }
      if index >= text.count &- 17 { return false }
      index = min(index &+ 16, text.count &- 17)
    }
  }

  private static func mayBe(inShort text: ByteView) -> Bool {
    var index = 0
    while index < text.count {
      if SecretWords.trigger(text, at: index) { return true }
      index &+= 1
    }
    return false
  }
}

/// The words that secrets follow.
enum SecretWords {
  enum Word {
    /// A value follows.
    case value
    /// Arguments follow.
    case call
  }

  /// Does the word that ends before `end` announce a secret? Words that end so count too: sslpassword, user_passwd.
  static func word(in text: ByteView, from start: Int, to wordEnd: Int) -> Word? {
    // `PASSWORD` and a space that is not ASCII, as a word processor gives it, are one word to the server.
    var end = wordEnd
    while end > start, text[end &- 1] >= 0x80 { end &-= 1 }
    if ends(text, start, end, "password") || ends(text, start, end, "passwd") { return .value }
    if ends(text, start, end, "passphrase") || ends(text, start, end, "passfile") { return .value }
    if equals(text, start, end, "sign_in") { return .call }
    // "warden"."token" and warden . token too
    guard equals(text, start, end, "token") else { return nil }
    var before = start
    var hasDot = false
    while before > 0, isBetweenNames(text[before &- 1]) {
      before &-= 1
      hasDot = hasDot || text[before] == 0x2E
    }
    return hasDot && ends(text, 0, before, "warden") ? .value : nil
  }

  private static func isBetweenNames(_ byte: UInt8) -> Bool { byte == 0x22 || byte == 0x2E || SQLLexer.isSpace(byte) }

  /// Where the first of them ends, be it in code, in a literal or anywhere; nil where there is none.
  /// - Parameter orAddress: addresses, which may have a password in them, count too.
  static func firstEnd(in text: ByteView, orAddress: Bool = true) -> Int? {
    var index = 0
    while index < text.count {
      if orAddress, matches(text, index, "://") { return index &+ 3 }
      guard SQLLexer.isWordByte(text[index]) else {
        index &+= 1
        continue
      }
      let start = index
      while index < text.count, SQLLexer.isWordByte(text[index]) { index &+= 1 }
      if word(in: text, from: start, to: index) != nil { return index }
    }
    return nil
  }

  /// `pass`, `sign_in`, `token` or `://`
  static func trigger(_ text: ByteView, at index: Int) -> Bool {
    switch text[index] | 0x20 {
    case 0x70: matches(text, index, "pass")
    case 0x73: matches(text, index, "sign_in")
    case 0x74: matches(text, index, "token")
    case 0x3A: matches(text, index, "://")
    default: false
    }
  }

  /// After a word without a sign of its own these leave open that a value follows.
  static func isBridge(_ text: ByteView, _ start: Int, _ end: Int) -> Bool {
    equals(text, start, end, "to") || equals(text, start, end, "is") || equals(text, start, end, "as")
      || equals(text, start, end, "in") || equals(text, start, end, "like") || equals(text, start, end, "ilike")
      || equals(text, start, end, "by") || equals(text, start, end, "default") || isLiteralPrefix(text, start, end)
  }

  static func isLiteralPrefix(_ text: ByteView, _ start: Int, _ end: Int) -> Bool {
    guard end &- start == 1 else { return false }
    let letter = text[start] | 0x20
    return letter == 0x65 || letter == 0x6E || letter == 0x75 || letter == 0x62 || letter == 0x78
  }

  /// These end the expression that a secret is computed by.
  static func endsExpression(_ text: ByteView, _ start: Int, _ end: Int) -> Bool {
    equals(text, start, end, "and") || equals(text, start, end, "or") || equals(text, start, end, "where")
      || equals(text, start, end, "from") || equals(text, start, end, "returning") || equals(text, start, end, "valid")
  }

  static func equals(_ text: ByteView, _ start: Int, _ end: Int, _ word: StaticString) -> Bool {
    end &- start == word.utf8CodeUnitCount && matches(text, start, word)
  }

  private static func ends(_ text: ByteView, _ start: Int, _ end: Int, _ word: StaticString) -> Bool {
    end &- start >= word.utf8CodeUnitCount && matches(text, end &- word.utf8CodeUnitCount, word)
  }

  private static func matches(_ text: ByteView, _ start: Int, _ word: StaticString) -> Bool {
    let letters = ByteView(word)
    for index in 0..<letters.count where lower(text[start &+ index]) != letters[index] { return false }
    return true
  }

  private static func lower(_ byte: UInt8) -> UInt8 { byte &- 0x41 < 26 ? byte | 0x20 : byte }
}

/// Reads a text as SQL and writes it again without what is secret. Bodies in dollar quotes are read as SQL too;
/// in other literals what follows a secret's word is looked at byte by byte.
struct SecretScanner {
  private let text: ByteView
  private let everyLiteral: Bool
  var writer: ByteWriter
  /// It cannot be told where the secret is: to be done again with every literal removed.
  private(set) var isAmbiguous = false

  /// A literal does not end.
  private(set) var isBroken = false

  /// What follows a secret's word, in the code.
  private struct Expectation {
    var isOn = false
    /// A sign like = or ( has been seen since: what follows is an expression.
    var isSeparated = false
    /// A literal has been removed.
    var hasValue = false
    var depth = 0
  }
  private var expected = Expectation()
  /// Words of the statement so far, up to three, and whether it says by them that a bare word is a value too:
  /// `ALTER ROLE … PASSWORD secret` lacks its quotes, `SET x.password = secret` needs none.
  private var words = 0
  private var takesBareValue = false
  private var isOfRoles = false
  /// A list of columns has a password in it; the values come later.
  private var isInColumnList = false
  private var hidesValues = false

  /// More dollar quotes within each other than anyone writes.
  private static let deepest = 4

  init(_ text: ByteView, everyLiteral: Bool, writer: ByteWriter) {
    self.text = text
    self.everyLiteral = everyLiteral
    self.writer = writer
  }

  /// What is written from now on will not be used.
  private var isOver: Bool { writer.overflowed || (isAmbiguous && !everyLiteral) }

  private var hides: Bool { everyLiteral || expected.isOn || hidesValues }

  private mutating func copy(_ from: Int, _ to: Int) { writer.append(cutting: text.slice(from, to)) }

  /// In place of all that follows.
  mutating func writeRest() { writer.append(cutting: ByteView(" ***")) }

  private mutating func writeStars() { writer.append(cutting: ByteView("***")) }

  /// Code from `start` to `end`; at depth 0 the statement itself, else what is in dollar quotes.
  mutating func scanCode(_ start: Int, _ end: Int, depth: Int) {
    var index = start
    while index < end, !isOver {
      let next = step(index, end, depth)
      index = next > index ? next : index &+ 1
    }
  }

  private mutating func step(_ index: Int, _ end: Int, _ depth: Int) -> Int {
    let byte = text[index]
    if SQLLexer.isWordByte(byte) { return scanWord(index, end, depth) }
    switch byte {
    case 0x27: return scanLiteral(index, end)
    case 0x24: return scanDollar(index, end, depth)
    case 0x22: return scanIdentifier(index, end, depth)
    case 0x2D where text[index &+ 1] == 0x2D && index &+ 1 < end: return scanComment(index, end)
    case 0x2F where text[index &+ 1] == 0x2A && index &+ 1 < end: return scanComment(index, end)
    default: return scanSign(index, end, depth)
    }
  }

  // MARK: Words and signs

  private func wordEnd(_ start: Int, _ end: Int) -> Int {
    var index = start
    while index < end, SQLLexer.isWordByte(text[index]) { index &+= 1 }
    return index
  }

  private mutating func scanWord(_ start: Int, _ end: Int, _ depth: Int) -> Int {
    let stop = wordEnd(start, end)
    if depth == 0 { noteBeginning(start, stop) }
    if let secret = SecretWords.word(in: text, from: start, to: stop) {
      expected = Expectation(isOn: true)
      copy(start, stop)
      return depth > 0 && secret == .value ? scanBareValue(stop, end) : stop
    }
    if isBareValue(start, stop) {
      writeStars()
      expected.isOn = false
      return stop
    }
    if expected.isOn, expected.depth == 0, !SecretWords.isLiteralPrefix(text, start, stop) {
      let ends =
        expected.isSeparated
        ? SecretWords.endsExpression(text, start, stop) : !SecretWords.isBridge(text, start, stop)
      if ends { expected.isOn = false }
    }
    if isInColumnList, SecretWords.equals(text, start, stop, "values") { hidesValues = true }
    copy(start, stop)
    return stop
  }

  /// ALTER ROLE, CREATE USER and the like, SET.
  private mutating func noteBeginning(_ start: Int, _ end: Int) {
    words &+= 1
    if words == 1 {
      takesBareValue = SecretWords.equals(text, start, end, "set")
      isOfRoles = SecretWords.equals(text, start, end, "alter") || SecretWords.equals(text, start, end, "create")
    } else if words == 2, isOfRoles {
      takesBareValue =
        SecretWords.equals(text, start, end, "role") || SecretWords.equals(text, start, end, "user")
        || SecretWords.equals(text, start, end, "group")
    }
    if words > 2 { words = 3 }
  }

  private func isBareValue(_ start: Int, _ end: Int) -> Bool {
    guard expected.isOn, takesBareValue, !expected.hasValue else { return false }
    if SecretWords.isBridge(text, start, end) { return false }
    return !SecretWords.equals(text, start, end, "null")
  }

  private mutating func scanSign(_ index: Int, _ end: Int, _ depth: Int) -> Int {
    let byte = text[index]
    if byte == 0x3B { endStatement() }
    if expected.isOn { note(sign: byte) }
    if depth > 0, byte == 0x3A, let stop = scanAddress(index, end) { return stop }
    copy(index, index &+ 1)
    return index &+ 1
  }

  private mutating func endStatement() {
    expected.isOn = false
    isInColumnList = false
    hidesValues = false
    words = 0
    takesBareValue = false
    isOfRoles = false
  }

  private mutating func note(sign byte: UInt8) {
    switch byte {
    case 0x28:
      expected.depth &+= 1
      expected.isSeparated = true
    case 0x29:
      expected.depth &-= 1
      if expected.depth < 0 { endExpectation() }
    case 0x2C where expected.depth == 0: endExpectation()
    default:
      if !SQLLexer.isSpace(byte) { expected.isSeparated = true }
    }
  }

  private mutating func endExpectation() {
    expected.isOn = false
    if !expected.isSeparated { isInColumnList = true }
  }

  /// In dollar quotes there may be a connection string or JSON rather than SQL: `password=xyz`.
  private mutating func scanBareValue(_ start: Int, _ end: Int) -> Int {
    var index = skipSpace(start, end)
    if text[index] == 0x22 { index = skipSpace(index &+ 1, end) }
    guard let value = skipEquals(index, end), value < end else { return start }
    var stop = value
    while stop < end, !SQLLexer.isSpace(text[stop]) {
      if text[stop] == 0x27 || text[stop] == 0x28 || text[stop] == 0x24 {
        // A literal right here is what the scanner of code removes; anything else may be code or a password.
        if stop > value || text[stop] == 0x28 { isAmbiguous = true }
        return start
      }
      stop &+= text[stop] == 0x5C ? 2 : 1
    }
    if text[value] == 0x22 { stop = quotedEnd(value, end) ?? end }
    copy(start, value)
    writeStars()
    expected.isOn = false
    return min(stop, end)
  }

  private func skipSpace(_ start: Int, _ end: Int) -> Int {
    var index = start
    while index < end, SQLLexer.isSpace(text[index]) { index &+= 1 }
    return index
  }

  /// Behind `=`, `:`, `:=` or `=>` and white space; nil where there is none.
  private func skipEquals(_ start: Int, _ end: Int) -> Int? {
    guard start < end, text[start] == 0x3D || text[start] == 0x3A else { return nil }
    var index = start &+ 1
    if index < end, text[index] == 0x3D || text[index] == 0x3E { index &+= 1 }
    return skipSpace(index, end)
  }

  /// Behind the closing double quote; a backslash escapes, as in JSON.
  private func quotedEnd(_ start: Int, _ end: Int) -> Int? {
    var index = start &+ 1
    while index < end {
      if text[index] == 0x22 { return index &+ 1 }
      index &+= text[index] == 0x5C ? 2 : 1
    }
    return nil
  }

  // MARK: Literals in single quotes

  private func isEscapeString(_ quote: Int) -> Bool {
    quote > 0 && text[quote &- 1] | 0x20 == 0x65 && !(quote > 1 && SQLLexer.isWordByte(text[quote &- 2]))
  }

  /// The closing quote, nil where there is none. In a literal that is no escape string a backslash before the closing
  /// quote means an escaped quote to some servers and a closed literal to others: it counts as never closed.
  private func closingQuote(_ quote: Int, _ end: Int, isEscape: Bool) -> Int? {
    var index = quote &+ 1
    while index < end {
      if isEscape, text[index] == 0x5C {
        index &+= 2
      } else if text[index] != 0x27 {
        index &+= 1
      } else if index &+ 1 < end, text[index &+ 1] == 0x27 {
        if !isEscape, text[index &- 1] == 0x5C, index &- 1 > quote { return nil }
        index &+= 2
      } else {
        return !isEscape && text[index &- 1] == 0x5C ? nil : index
      }
    }
    return nil
  }

  private mutating func scanLiteral(_ quote: Int, _ end: Int) -> Int {
    let isEscape = isEscapeString(quote)
    guard let close = closingQuote(quote, end, isEscape: isEscape) else {
      isBroken = true
      writer.append(cutting: ByteView("'***"))
      return end
    }
    if hides {
      expected.hasValue = true
      writer.append(cutting: ByteView("'***'"))
      return close &+ 1
    }
    let mark = writer.count
    writer.append(cutting: ByteView("'"))
    if !scanContent(quote &+ 1, close, isEscape: isEscape) {
      writer.rewind(to: mark)
      writer.append(cutting: ByteView("'***"))
    }
    writer.append(cutting: ByteView("'"))
    let next = skipSpace(close &+ 1, end)
    if hasOpenValue, text[next] == 0x7C || text[next] == 0x27 { isAmbiguous = true }
    hasOpenValue = false
    return close &+ 1
  }

  /// A secret's value ended where its literal ends; it may go on in the next one.
  private var hasOpenValue = false

  /// The inside of a literal. False where the whole of it is to be removed.
  private mutating func scanContent(_ start: Int, _ end: Int, isEscape: Bool) -> Bool {
    var index = start
    var quotes = 0
    var hasBackslash = false
    while index < end, !isOver {
      let byte = text[index]
      if SQLLexer.isWordByte(byte) {
        let word = index
        index = wordEnd(word, end)
        copy(word, index)
        guard let secret = SecretWords.word(in: text, from: word, to: index) else { continue }
        // Within a literal within the literal, or escapes before it: not to be followed.
        if quotes % 4 != 0 || (isEscape && hasBackslash) { return false }
        index = removeValue(index, end, secret)
      } else if byte == 0x3A, let stop = scanAddress(index, end) {
        index = stop
      } else {
        if byte == 0x27 { quotes &+= 1 }
        if byte == 0x5C { hasBackslash = true }
        copy(index, index &+ 1)
        index &+= 1
      }
    }
    return true
  }

  /// Copies what is between a secret's word and its value, and writes stars for the value; returns where to go on.
  private mutating func removeValue(_ start: Int, _ end: Int, _ word: SecretWords.Word) -> Int {
    var index = skipSpace(start, end)
    if text[index] == 0x22, index < end { index = skipSpace(index &+ 1, end) }
    if SecretWords.equals(text, index, wordEnd(index, end), "to") { index = skipSpace(index &+ 2, end) }
    let value = skipEquals(index, end)
    index = value ?? index
    copy(start, index)
    guard index < end else {
      isAmbiguous = true
      return end
    }
    switch text[index] {
    case 0x25 where Self.isFormat(text[index &+ 1]):
      isAmbiguous = true
      return index
    case 0x27 where word == .value: return removeQuoted(index, end)
    case 0x22 where value != nil: return removeRest(quotedEnd(index, end) ?? end, end)
    default: break
    }
    if value != nil, Self.isBare(text[index]) { return removeBare(index, end) }
    let isHarmless = word == .value && isHarmlessAfterWord(index, end)
    return isHarmless ? index : removeRest(end, end)
  }

  private mutating func removeRest(_ stop: Int, _ end: Int) -> Int {
    writeStars()
    if stop >= end { hasOpenValue = true }
    return stop
  }

  /// Without an equals sign only something quoted can be the value.
  private func isHarmlessAfterWord(_ index: Int, _ end: Int) -> Bool {
    let byte = text[index]
    if SQLLexer.isWordByte(byte) {
      let stop = wordEnd(index, end)
      return !(SecretWords.isLiteralPrefix(text, index, stop) && (text[stop] == 0x27 || text[stop] == 0x26))
    }
    return byte == 0x2C || byte == 0x29 || byte == 0x2E || byte == 0x3B || byte == 0x21 || byte == 0x3F || byte == 0x25
  }

  private static func isFormat(_ byte: UInt8) -> Bool {
    byte == 0x4C || byte == 0x73 || byte == 0x49 || byte == 0x2D || (byte >= 0x30 && byte <= 0x39)
  }

  private static func isBare(_ byte: UInt8) -> Bool { byte != 0x24 && byte != 0x5C && byte != 0x28 }

  /// `password=xyz`: up to white space; a backslash escapes, doubled quotes belong to it.
  private mutating func removeBare(_ start: Int, _ end: Int) -> Int {
    var stop = start
    while stop < end, !SQLLexer.isSpace(text[stop]) { stop &+= text[stop] == 0x5C ? 2 : 1 }
    return removeRest(min(stop, end), end)
  }

  /// `''xyz''`, whose quotes are doubled because it is within a literal. Any other number of quotes is nothing that
  /// could be followed safely.
  private mutating func removeQuoted(_ start: Int, _ end: Int) -> Int {
    guard quoteRun(start, end) == 2 else {
      if quoteRun(start, end) & 3 != 0 { isAmbiguous = true }
      return removeRest(end, end)
    }
    var index = start &+ 2
    while index < end {
      let run = quoteRun(index, end)
      if run == 2, text[index &- 1] != 0x5C {
        writer.append(cutting: ByteView("''***''"))
        return index &+ 2
      }
      if run > 0 { return removeRest(end, end) }
      index &+= 1
    }
    // It goes on outside of the literal: 'PASSWORD ''' || p || ''''
    isAmbiguous = true
    return removeRest(end, end)
  }

  private func quoteRun(_ start: Int, _ end: Int) -> Int {
    var index = start
    while index < end, text[index] == 0x27 { index &+= 1 }
    return index &- start
  }

  /// Up to here there is no address with a password: each byte is looked at once.
  private var addressesEnd = 0

  /// `://user:password@host`, from the colon on; nil where there is no password.
  private mutating func scanAddress(_ start: Int, _ end: Int) -> Int? {
    guard let (colon, at) = passwordInAddress(start, end) else { return nil }
    copy(start, colon &+ 1)
    writeStars()
    return at
  }

  /// The colon before it and the sign behind it.
  private mutating func passwordInAddress(_ start: Int, _ end: Int) -> (colon: Int, at: Int)? {
    guard start >= addressesEnd, start &+ 3 <= end, text[start &+ 1] == 0x2F, text[start &+ 2] == 0x2F else {
      return nil
    }
    var colon = -1
    var at = -1
    var index = start &+ 3
    while index < end, !SQLLexer.isSpace(text[index]) {
      if text[index] == 0x3A, colon < 0 { colon = index }
      if text[index] == 0x40 { at = index }
      index &+= 1
    }
    guard colon > 0, at > colon else {
      addressesEnd = index
      return nil
    }
    return (colon, at)
  }

  private mutating func hasAddress(_ start: Int, _ end: Int) -> Bool {
    var index = start
    while index < end {
      if text[index] == 0x3A, passwordInAddress(index, end) != nil { return true }
      index &+= 1
    }
    return false
  }

  // MARK: Dollar quotes, identifiers, comments

  /// `$tag$ … $tag$`, or a parameter, or a mere dollar.
  private mutating func scanDollar(_ start: Int, _ end: Int, _ depth: Int) -> Int {
    var tagEnd = start &+ 1
    while tagEnd < end, SQLLexer.isWordByte(text[tagEnd]) { tagEnd &+= 1 }
    let isParameter = text[start &+ 1] >= 0x30 && text[start &+ 1] <= 0x39
    guard tagEnd < end, text[tagEnd] == 0x24, !isParameter else {
      if expected.isOn { expected.isSeparated = true }
      copy(start, start &+ 1)
      return start &+ 1
    }
    let body = tagEnd &+ 1
    guard let close = closingTag(start, body, end) else {
      isBroken = true
      writer.append(cutting: ByteView("'***"))
      return end
    }
    let stop = close &+ (body &- start)
    if hides || depth >= Self.deepest {
      expected.hasValue = true
      writer.append(cutting: ByteView("'***'"))
      return stop
    }
    copy(start, body)
    let outside = expected
    scanCode(body, close, depth: depth &+ 1)
    expected = outside
    copy(close, stop)
    return stop
  }

  private func closingTag(_ tag: Int, _ body: Int, _ end: Int) -> Int? {
    let length = body &- tag
    var index = body
    while index <= end &- length {
      if text[index] == 0x24 {
        var matched = 1
        while matched < length, text[index &+ matched] == text[tag &+ matched] { matched &+= 1 }
        if matched == length { return index }
      }
      index &+= 1
    }
    return nil
  }

  /// `"…"`. In dollar quotes it may be JSON: the value of a secret's key is removed.
  private mutating func scanIdentifier(_ start: Int, _ end: Int, _ depth: Int) -> Int {
    guard let stop = quotedIdentifierEnd(start, end) else {
      copy(start, start &+ 1)
      return start &+ 1
    }
    let secret = secretWord(start &+ 1, stop &- 1)
    if secret == nil {
      if depth > 0, expected.isOn, expected.isSeparated {
        writer.append(cutting: ByteView("\"***\""))
        expected.isOn = false
        return quotedEnd(start, end) ?? end
      }
      if expected.isOn, takesBareValue, !expected.hasValue {
        writeStars()
      } else {
        copy(start, stop)
      }
      if expected.isOn, expected.depth == 0, takesBareValue || !expected.isSeparated { expected.isOn = false }
      return stop
    }
    // A name with a quote and a secret's word in it is more likely a statement that was torn.
    if hasQuote(start, stop) { isAmbiguous = true }
    expected = Expectation(isOn: true)
    if everyLiteral, hasQuote(start, stop) {
      writeStars()
    } else {
      copy(start, stop)
    }
    return depth > 0 ? scanBareValue(stop, end) : stop
  }

  private func quotedIdentifierEnd(_ start: Int, _ end: Int) -> Int? {
    var index = start &+ 1
    while index < end {
      if text[index] == 0x22 { return index &+ 1 }
      index &+= 1
    }
    return nil
  }

  private func secretWord(_ start: Int, _ end: Int) -> SecretWords.Word? {
    var index = start
    while index < end {
      guard SQLLexer.isWordByte(text[index]) else {
        index &+= 1
        continue
      }
      let stop = wordEnd(index, end)
      if let word = SecretWords.word(in: text, from: index, to: stop) { return word }
      index = stop
    }
    return nil
  }

  private func hasQuote(_ start: Int, _ end: Int) -> Bool {
    var index = start
    while index < end {
      if text[index] == 0x27 || text[index] == 0x24 { return true }
      index &+= 1
    }
    return false
  }

  /// A comment with a secret's word or an address with a password in it is removed whole; so is one with a quote where every literal is.
  private mutating func scanComment(_ start: Int, _ end: Int) -> Int {
    let stop = SQLLexer(text: text.prefix(end)).token(at: start).end
    let isSecret = secretWord(start, stop) != nil || hasAddress(start, stop) || (everyLiteral && hasQuote(start, stop))
    if isSecret {
      writer.append(cutting: ByteView(text[start] == 0x2D ? "-- ***" : "/* *** */"))
    } else {
      copy(start, stop)
    }
    return stop
  }
}
