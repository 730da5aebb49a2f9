/// Finds numbers that are somebody's: cards, identity numbers, phones, addresses of networks.
struct ScrubNumbers {
  private let text: ByteView
  private var index: Int
  private let floor: Int

  /// In `text` from `floor` on.
  init(_ text: ByteView, from floor: Int) {
    self.text = text
    self.floor = floor
    index = floor
  }

  mutating func next() -> MaskScrub.Match? {
    while index < text.count {
      guard ScrubBytes.isDigit(text[index]) else {
        index &+= 1
        continue
      }
      let match = match()
      // What is no number from its first digit on, is none from the second.
      var end = match?.end ?? index
      while ScrubBytes.isDigit(text[end]) { end &+= 1 }
      index = end
      if let match { return match }
    }
    return nil
  }

  private func match() -> MaskScrub.Match? {
    let run = ScrubDigits(text, from: index)
    guard run.count >= 4, run.groups > 0 else { return nil }
    let previous = index > floor ? text[index &- 1] : 0
    if previous == 0x2E, index > floor &+ 1, ScrubBytes.isDigit(text[index &- 2]) { return nil }
    if let end = ScrubCard.end(of: run) { return found(run, end, "[card]") }
    guard !ScrubBytes.isLetter(previous), previous != 0x5F else { return nil }
    if let end = ipv4End(run) { return found(run, end, "[ip]") }
    let isInside = isSeparator(previous) && index > floor &+ 1 && ScrubBytes.isDigit(text[index &- 2])
    guard !isInside else { return nil }
    if previous != 0x2B, let end = ScrubIdentity.end(of: run, in: text) { return found(run, end, "[id]") }
    return phone(run, previous)
  }

  private func isSeparator(_ byte: UInt8) -> Bool { byte == 0x2D || byte == 0x2F }

  private func found(_ run: ScrubDigits, _ end: Int, _ marker: StaticString) -> MaskScrub.Match {
    MaskScrub.Match(start: run.start, end: end, marker: marker)
  }

  /// Four numbers up to 255 with dots between them, not more, and no version of a program.
  private func ipv4End(_ run: ScrubDigits) -> Int? {
    guard run.groups >= 4, run.separator(0) == 0x2E, run.separator(1) == 0x2E, run.separator(2) == 0x2E,
      run.separator(3) != 0x2E
    else { return nil }
    for group in 0..<4 {
      let length = run.length(of: group)
      guard length <= 3, run.number(run.digits(in: group), length) <= 255 else { return nil }
    }
    guard run.number(0, run.length(of: 0)) > 0, !ScrubContext(text, before: run.start, floor).saysVersion else {
      return nil
    }
    let end = run.end(of: 4)
    return ScrubBytes.isLetter(text[end]) ? nil : end
  }

  private func phone(_ run: ScrubDigits, _ previous: UInt8) -> MaskScrub.Match? {
    var start = run.start
    var lead: UInt8 = 0
    if previous == 0x2B || previous == 0x28 {
      lead = previous
      start &-= 1
      if lead == 0x28, start > floor, text[start &- 1] == 0x2B {
        lead = 0x2B
        start &-= 1
      }
    }
    let context = ScrubContext(text, before: start, floor)
    guard let end = ScrubPhone.end(of: run, lead: lead, context: context) else { return nil }
    // Of a word rather than a number: 2024a, 10.4.2-beta
    guard !ScrubBytes.isLetter(text[end]), text[end] != 0x5F else { return nil }
    return MaskScrub.Match(start: start, end: end, marker: "[phone]")
  }
}

/// Words shortly before a number that say what it is.
struct ScrubContext {
  private let text: ByteView
  private let start: Int
  private let end: Int

  /// So far back is looked.
  private static let reach = 28

  init(_ text: ByteView, before end: Int, _ floor: Int) {
    self.text = text
    self.end = end
    start = max(floor, end &- ScrubContext.reach)
  }

  var saysPhone: Bool {
    has(["tel", "phone", "mobile", "cell", "call", "fax", "whatsapp", "handy", "sms", "dial", "mobil", "ring", "ph"])
  }

  var saysSocialSecurity: Bool { has(["ssn", "social", "sin"]) }

  var saysDutchNumber: Bool { has(["bsn", "burgerservicenummer", "sofi"]) }

  /// The word right before the number alone: an address may well stand in a sentence about a version.
  var saysVersion: Bool {
    var last = end &- 1
    while last > start, text[last] == 0x20 || text[last] == 0x3A { last &-= 1 }
    for word: StaticString in ["version", "release", "build", "ver", "ver."] {
      if text.hasWord(word, at: last &+ 1 &- word.utf8CodeUnitCount) { return true }
    }
    return false
  }

  /// Does a word begin with one of these?
  private func has(_ words: [StaticString]) -> Bool {
    var index = start
    while index < end {
      let isStart = ScrubBytes.isLetter(text[index]) && (index == 0 || !ScrubBytes.isLetter(text[index &- 1]))
      if isStart {
        for word in words where text.hasWord(word, at: index) {
          // Two or three letters are a word of their own.
          let isShort = word.utf8CodeUnitCount < 4
          if !isShort || !ScrubBytes.isLetter(text[index &+ word.utf8CodeUnitCount]) { return true }
        }
        while index < end, ScrubBytes.isLetter(text[index]) { index &+= 1 }
      } else {
        index &+= 1
      }
    }
    return false
  }
}

/// Numbers of payment cards.
enum ScrubCard {
  /// Behind a number of 13 to 19 digits that passes Luhn, of a scheme's range and length (ISO/IEC 7812; ranges as the
  /// schemes publish them); nil where there is none. The longest.
  static func end(of run: ScrubDigits) -> Int? {
    guard run.count >= 13, run.digit(0) >= 2, run.digit(0) <= 6 else { return nil }
    var groups = run.groups
    while groups > 0 {
      let length = run.digits(in: groups)
      if length < 13 { return nil }
      if length <= 19, isOfScheme(run, length), isGrouped(run, groups), run.passesLuhn(0, length) {
        return run.end(of: groups)
      }
      groups &-= 1
    }
    return nil
  }

  private static func isOfScheme(_ run: ScrubDigits, _ length: Int) -> Bool {
    let two = run.number(0, 2)
    switch run.digit(0) {
    case 2: return length == 16 && run.number(0, 4) >= 2221 && run.number(0, 4) <= 2720
    case 3:
      if two == 34 || two == 37 { return length == 15 }
      return two == 35 ? length >= 16 : (two == 30 || two == 36 || two == 38 || two == 39) && length >= 14
    case 4: return length == 13 || length == 16 || length == 19
    case 5: return two >= 51 && two <= 55 ? length == 16 : true
    default: return true
    }
  }

  /// In one piece, or in groups such as 4-4-4-4, 4-6-5 or 8-8, or digit by digit.
  private static func isGrouped(_ run: ScrubDigits, _ groups: Int) -> Bool {
    guard groups > 1 else { return true }
    let first = run.length(of: 0)
    for group in 0..<groups {
      let length = run.length(of: group)
      let isEven = first <= 2 && length == first
      guard isEven || (first >= 4 && length >= 3) else { return false }
      if group &+ 1 < groups, run.separator(group) == 0x2F { return false }
    }
    return true
  }
}

/// Numbers of telephones, in the shapes of ITU-T E.123 and the national plans; not every number of seven digits.
enum ScrubPhone {
  static func end(of run: ScrubDigits, lead: UInt8, context: ScrubContext) -> Int? {
    guard run.count >= 7 else { return nil }
    if lead == 0x2B { return international(run) }
    if run.digit(0) == 0, run.digit(1) == 0, run.digit(2) > 0, run.groups > 1, !isDate(run) {
      if let end = longest(run, 10, 17) { return end }
    }
    if let end = northAmerican(run, lead) ?? national(run, lead) { return end }
    guard !isDate(run), context.saysPhone else { return nil }
    return longest(run, 7, 15)
  }

  /// + and 7 to 15 digits, with (0) perhaps.
  private static func international(_ run: ScrubDigits) -> Int? {
    run.digit(0) > 0 ? longest(run, 7, 16) : nil
  }

  private static func longest(_ run: ScrubDigits, _ fewest: Int, _ most: Int) -> Int? {
    var groups = run.groups
    while groups > 0 {
      let digits = run.digits(in: groups)
      if digits < fewest { return nil }
      if digits <= most { return run.end(of: groups) }
      groups &-= 1
    }
    return nil
  }

  /// Area, exchange and line, 3-3-4, of which the first two begin with 2 to 9; a 1 before them perhaps.
  private static func northAmerican(_ run: ScrubDigits, _ lead: UInt8) -> Int? {
    let first = run.length(of: 0) == 1 && run.digit(0) == 1 && lead == 0 ? 1 : 0
    let area = run.digits(in: first)
    guard run.length(of: first) == 3, run.length(of: first &+ 1) == 3, run.length(of: first &+ 2) == 4,
      run.digit(area) >= 2, run.digit(area &+ 3) >= 2, run.separator(first) != 0x2F || run.separator(first &+ 1) == 0x2D
    else { return nil }
    return run.end(of: first &+ 3)
  }

  private static func national(_ run: ScrubDigits, _ lead: UInt8) -> Int? {
    if run.digit(0) == 0, run.digit(1) > 0, !isDate(run) {
      let isWhole = run.groups == 1
      return longest(run, isWhole ? 10 : 9, 12)
    }
    // (11) 98765-4321
    if lead == 0x28, run.length(of: 0) >= 2, run.length(of: 0) <= 5, run.separator(0) == ScrubDigits.Separator.mixed {
      return longest(run, 8, 12)
    }
    // India: 98765 43210. China: 13800138000.
    if run.hasShape("55"), run.digit(0) >= 6 { return run.end(of: 2) }
    if run.length(of: 0) == 11, run.groups == 1, run.digit(0) == 1, run.digit(1) >= 3 { return run.end(of: 1) }
    if run.hasShape("344"), run.digit(0) == 1, run.digit(1) >= 3 { return run.end(of: 3) }
    return nil
  }

  /// 2024-01-15, 15.01.2024, 01/15/24, with a time behind it perhaps; but 01.02.20.24.30 is a number of France.
  private static func isDate(_ run: ScrubDigits) -> Bool {
    guard run.groups >= 3, run.separator(0) == run.separator(1), run.separator(0) != 0x20 else { return false }
    let lengths = (run.length(of: 0), run.length(of: 1), run.length(of: 2))
    if lengths == (2, 2, 2), run.hasShape("22222", " -./") { return false }
    let first = run.number(0, lengths.0)
    let second = run.number(lengths.0, lengths.1)
    if lengths.0 == 4 { return lengths.1 <= 2 && lengths.2 <= 2 && second <= 12 }
    return lengths.0 <= 2 && lengths.1 <= 2 && (lengths.2 == 4 || lengths.2 == 2) && first <= 31 && second <= 31
  }
}
