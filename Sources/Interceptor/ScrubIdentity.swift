/// Numbers that a state gives a person. Each is found by its shape and its check digits; where a country has none, by
/// its shape as it is written with separators, or by a word before it.
enum ScrubIdentity {
  /// Behind a number that begins with `run`; nil where it is none.
  static func end(of run: ScrubDigits, in text: ByteView) -> Int? {
    if let groups = grouped(run) ?? whole(run) {
      let end = run.end(of: groups)
      return ScrubBytes.isLetter(text[end]) ? nil : end
    }
    return inContext(run, text) ?? withLetter(run, text)
  }

  // MARK: Written in groups

  /// How many groups the number has.
  private static func grouped(_ run: ScrubDigits) -> Int? {
    guard run.groups > 1 else { return nil }
    if run.hasShape("324", " -."), isSocialSecurity(run) { return 3 }
    if run.hasShape("333", " -"), run.passesLuhn(0, 9), run.digit(0) > 0, run.digit(0) != 8 { return 3 }
    if run.hasShape("444"), isAadhaar(run) { return 3 }
    if run.hasShape("3332", ".-"), isCPF(run) { return 4 }
    if run.hasShape("2333", " "), isSteuerID(run) { return 4 }
    if run.hasShape("3442", "."), isAHV(run) { return 4 }
    if run.hasShape("423", "."), isBSN(run) { return 3 }
    if run.hasShape("22232", ".-"), isBelgian(run) { return 5 }
    if run.hasShape("1222332", " "), isNIR(run) { return 7 }
    if run.hasShape("64", "-"), isDay(run, 0) || (isDayFirst(run) && run.separator(0) == 0x2D) {
      return isSwedish(run, 0)
    }
    if run.hasShape("84", "-"), run.passesLuhn(2, 10), isDay(run, 2) { return 2 }
    if run.hasShape("67", "-"), isDay(run, 0), run.digit(6) >= 1, run.digit(6) <= 8 { return 2 }
    if run.hasShape("65", " "), isNorwegian(run) { return 2 }
    return nil
  }

  /// Sweden's has a check digit (Skatteverket, SKV 704); Denmark's no longer has one, its day comes first.
  private static func isSwedish(_ run: ScrubDigits, _ from: Int) -> Int? {
    if isDay(run, from), run.passesLuhn(from, 10) { return 2 }
    return isDayFirst(run) ? 2 : nil
  }

  // MARK: In one piece

  private static func whole(_ run: ScrubDigits) -> Int? {
    let isFound =
      switch run.length(of: 0) {
      case 10: isDay(run, 0) && run.passesLuhn(0, 10)
      case 11:
        isSteuerID(run) || isCPF(run) || isPESEL(run) || isNorwegian(run) || isBelgian(run) || isTurkish(run)
      case 12: isAadhaar(run) || (run.passesLuhn(2, 10) && isDay(run, 2) && isCentury(run))
      case 13: isAHV(run)
      case 15: isNIR(run)
      case 18: isChinese(run, last: run.digit(17))
      default: false
      }
    return isFound ? 1 : nil
  }

  private static func inContext(_ run: ScrubDigits, _ text: ByteView) -> Int? {
    guard run.length(of: 0) == 9, run.groups == 1 || run.separator(0) != 0x2D else { return nil }
    let context = ScrubContext(text, before: run.start, 0)
    let isNamed = context.saysSocialSecurity || (context.saysDutchNumber && isBSN(run))
    return isNamed ? run.end(of: 1) : nil
  }

  /// Digits with a letter at the end: China's X, Finland's.
  private static func withLetter(_ run: ScrubDigits, _ text: ByteView) -> Int? {
    let end = run.end(of: 1)
    if run.length(of: 0) == 17, text[end] | 0x20 == 0x78, isChinese(run, last: 10),
      !ScrubBytes.isAlphanumeric(text[end &+ 1])
    {
      return end &+ 1
    }
    return run.length(of: 0) == 6 && isDayFirst(run) ? finnishEnd(text, run.start) : nil
  }

  // MARK: Days

  /// yymmdd from a digit on; days of co-ordination numbers are 60 more.
  private static func isDay(_ run: ScrubDigits, _ from: Int) -> Bool {
    let month = run.number(from &+ 2, 2)
    let day = run.number(from &+ 4, 2)
    return month >= 1 && month <= 12 && ((day >= 1 && day <= 31) || (day >= 61 && day <= 91))
  }

  /// ddmmyy
  private static func isDayFirst(_ run: ScrubDigits) -> Bool {
    let day = run.number(0, 2)
    let month = run.number(2, 2)
    return month >= 1 && month <= 12 && day >= 1 && day <= 31
  }

  private static func isCentury(_ run: ScrubDigits) -> Bool { run.number(0, 2) >= 18 && run.number(0, 2) <= 20 }

  // MARK: Checks

  /// United States: no area 000, 666 or from 900 on, no group 00, no serial 0000 (SSA, POMS RM 10201.035).
  private static func isSocialSecurity(_ run: ScrubDigits) -> Bool {
    let area = run.number(0, 3)
    return area > 0 && area != 666 && area < 900 && run.number(3, 2) > 0 && run.number(5, 4) > 0
  }

  /// Germany: ISO 7064 MOD 11,10; of the first ten digits one comes twice or three times (Bundeszentralamt für Steuern).
  private static func isSteuerID(_ run: ScrubDigits) -> Bool {
    guard run.digit(0) > 0 else { return false }
    var product = 10
    var seen = 0
    for index in 0..<10 {
      seen |= 1 << run.digit(index)
      let sum = (run.digit(index) &+ product) % 10
      product = (sum == 0 ? 10 : sum) &* 2 % 11
    }
    let distinct = seen.nonzeroBitCount
    return (distinct == 9 || distinct == 8) && (11 &- product) % 10 == run.digit(10)
  }

  /// France: 97 less the number mod 97 (INSEE, numéro d'inscription au répertoire).
  private static func isNIR(_ run: ScrubDigits) -> Bool {
    let month = run.number(3, 2)
    let sex = run.digit(0)
    guard sex >= 1, sex <= 8, sex != 5, sex != 6, (month >= 1 && month <= 12) || month >= 20 else { return false }
    return 97 &- run.number(0, 13) % 97 == run.number(13, 2)
  }

  /// Brazil: two digits mod 11 (Receita Federal). Eleven times the same digit passes, and is none.
  private static func isCPF(_ run: ScrubDigits) -> Bool {
    var first = 0
    var second = 0
    var isSame = true
    for index in 0..<9 {
      isSame = isSame && run.digit(index) == run.digit(0)
      first &+= run.digit(index) &* (10 &- index)
      second &+= run.digit(index) &* (11 &- index)
    }
    let one = first &* 10 % 11 % 10
    let two = (second &+ one &* 2) &* 10 % 11 % 10
    return !isSame && one == run.digit(9) && two == run.digit(10)
  }

  /// Poland: weights 1, 3, 7, 9; the century is in the month (Ministerstwo Cyfryzacji).
  private static func isPESEL(_ run: ScrubDigits) -> Bool {
    var sum = 0
    for index in 0..<10 { sum &+= run.digit(index) &* weight("1379137913", index) }
    let month = run.number(2, 2) % 20
    let day = run.number(4, 2)
    return month >= 1 && month <= 12 && day >= 1 && day <= 31 && (10 &- sum % 10) % 10 == run.digit(10)
  }

  /// Norway: two digits mod 11 (Skatteetaten).
  private static func isNorwegian(_ run: ScrubDigits) -> Bool {
    var first = 0
    var second = 0
    for index in 0..<9 { first &+= run.digit(index) &* weight("376189452", index) }
    for index in 0..<10 { second &+= run.digit(index) &* weight("5432765432", index) }
    let month = run.number(2, 2)
    let day = run.number(0, 2)
    return month >= 1 && month % 40 <= 12 && day >= 1 && day <= 71 && (11 &- first % 11) % 11 == run.digit(9)
      && (11 &- second % 11) % 11 == run.digit(10)
  }

  /// Belgium: 97 less the number mod 97, with a 2 before it for those born from 2000 on (Rijksregister).
  private static func isBelgian(_ run: ScrubDigits) -> Bool {
    let month = run.number(2, 2)
    guard month % 20 <= 12, run.number(4, 2) <= 31, run.number(6, 3) > 0 else { return false }
    let number = run.number(0, 9)
    let check = run.number(9, 2)
    return 97 &- number % 97 == check || 97 &- (number &+ 2_000_000_000) % 97 == check
  }

  /// Turkey (Nüfus ve Vatandaşlık İşleri).
  private static func isTurkish(_ run: ScrubDigits) -> Bool {
    guard run.digit(0) > 0 else { return false }
    var odd = 0
    var even = 0
    for index in 0..<9 { if index & 1 == 0 { odd &+= run.digit(index) } else { even &+= run.digit(index) } }
    let tenth = (odd &* 7 &- even &+ 100) % 10
    return tenth == run.digit(9) && (odd &+ even &+ tenth) % 10 == run.digit(10)
  }

  /// Switzerland: 756 and the check digit of EAN-13 (Zentrale Ausgleichsstelle).
  private static func isAHV(_ run: ScrubDigits) -> Bool {
    guard run.number(0, 3) == 756 else { return false }
    var sum = 0
    for index in 0..<12 { sum &+= run.digit(index) &* (index & 1 == 0 ? 1 : 3) }
    return (10 &- sum % 10) % 10 == run.digit(12)
  }

  /// Netherlands: the proof of eleven, the last digit counted negative (RvIG).
  private static func isBSN(_ run: ScrubDigits) -> Bool {
    var sum = 0 &- run.digit(8)
    for index in 0..<8 { sum &+= run.digit(index) &* (9 &- index) }
    return run.number(0, 9) > 0 && sum % 11 == 0
  }

  /// China: ISO 7064 MOD 11-2, where 10 is X; a day of birth from the seventh digit on (GB 11643-1999).
  private static func isChinese(_ run: ScrubDigits, last: Int) -> Bool {
    let year = run.number(6, 4)
    guard year >= 1880, year <= 2100, isDay(run, 8) else { return false }
    var sum = 0
    for index in 0..<17 { sum = (sum &+ run.digit(index)) &* 2 % 11 }
    return (sum &+ last) % 11 == 1
  }

  /// India: Verhoeff's scheme ("Error detecting decimal codes", 1969); it begins with 2 to 9 (UIDAI).
  private static func isAadhaar(_ run: ScrubDigits) -> Bool {
    guard run.digit(0) >= 2 else { return false }
    var check = 0
    for index in 0..<12 {
      let digit = weight(permutations, (index & 7) &* 10 &+ run.digit(11 &- index))
      check = weight(dihedral, check &* 10 &+ digit)
    }
    return check == 0
  }

  private static let dihedral: StaticString =
    "0123456789123406789523401789563401289567401239567859876043216598710432765982104387659321049876543210"
  private static let permutations: StaticString =
    "01234567891576283094580379614289160435279453126870428657390127938064157046913258"

  private static func weight(_ weights: StaticString, _ index: Int) -> Int { Int(ByteView(weights)[index] & 15) }

  // MARK: With letters

  /// Numbers that have letters: Britain's, Italy's, Spain's; `start` is at the beginning of a word.
  static func lettered(_ text: ByteView, at start: Int) -> MaskScrub.Match? {
    guard let end = insuranceEnd(text, start) ?? fiscalEnd(text, start) ?? spanishEnd(text, start) else { return nil }
    return ScrubBytes.isAlphanumeric(text[end]) ? nil : MaskScrub.Match(start: start, end: end, marker: "[id]")
  }

  /// Finland: ddmmyy, a sign for the century, three digits and one of 31 characters (Digi- ja väestötietovirasto).
  private static func finnishEnd(_ text: ByteView, _ start: Int) -> Int? {
    let sign = text[start &+ 6]
    guard sign == 0x2D || sign == 0x2B || sign | 0x20 == 0x61 else { return nil }
    var number = 0
    for offset in 0..<10 where offset != 6 {
      guard ScrubBytes.isDigit(text[start &+ offset]) else { return nil }
      number = number &* 10 &+ Int(text[start &+ offset] & 15)
    }
    let byte = text[start &+ 10]
    let upper = ScrubBytes.isLetter(byte) ? byte & 0xDF : byte
    guard ByteView("0123456789ABCDEFHJKLMNPRSTUVWXY")[number % 31] == upper else { return nil }
    return ScrubBytes.isAlphanumeric(text[start &+ 11]) ? nil : start &+ 11
  }

  /// United Kingdom: two letters, six digits, A to D, in pairs perhaps (HMRC, NIM39110).
  private static func insuranceEnd(_ text: ByteView, _ start: Int) -> Int? {
    let first = text[start] & 0xDF
    let second = text[start &+ 1] & 0xDF
    guard ScrubBytes.isLetter(text[start]), ScrubBytes.isLetter(text[start &+ 1]) else { return nil }
    guard !ByteView("DFIQUV").contains(first), !ByteView("DFIOQUV").contains(second) else { return nil }
    var index = start &+ 2
    for _ in 0..<3 {
      if text[index] == 0x20 || text[index] == 0x2D { index &+= 1 }
      guard ScrubBytes.isDigit(text[index]), ScrubBytes.isDigit(text[index &+ 1]) else { return nil }
      index &+= 2
    }
    if text[index] == 0x20 || text[index] == 0x2D { index &+= 1 }
    let last = text[index] & 0xDF
    return last >= 0x41 && last <= 0x44 ? index &+ 1 : nil
  }

  /// Italy: LLLLLLddLddLdddL, where digits may stand as letters; the last is a check (D.M. 23 December 1976).
  private static func fiscalEnd(_ text: ByteView, _ start: Int) -> Int? {
    let shape = ByteView("LLLLLLddLddLdddL")
    let odd = ByteView("BAFHJNPRTVCESULDGIMOQKWZYX")
    var sum = 0
    for offset in 0..<16 {
      let byte = text[start &+ offset]
      let isDigit = ScrubBytes.isDigit(byte)
      guard isDigit || ScrubBytes.isLetter(byte), !isDigit || shape[offset] == 0x64 else { return nil }
      let value = isDigit ? Int(byte & 15) : Int(byte & 0xDF) &- 65
      if shape[offset] == 0x64, !isDigit, !ByteView("LMNPQRSTUV").contains(byte & 0xDF) { return nil }
      if offset == 15 { return sum % 26 == value ? start &+ 16 : nil }
      sum &+= offset & 1 == 0 ? Int(odd[value]) &- 65 : value
    }
    return nil
  }

  /// Spain: eight digits, or X, Y, Z and seven, and the letter of the number mod 23 (Ministerio del Interior).
  private static func spanishEnd(_ text: ByteView, _ start: Int) -> Int? {
    var index = start
    var number = 0
    var digits = 0
    let first = text[start] & 0xDF
    if first >= 0x58, first <= 0x5A, ScrubBytes.isLetter(text[start]) {
      number = Int(first) &- 0x58
      digits = 1
      index &+= 1
      if text[index] == 0x2D { index &+= 1 }
    }
    while digits < 8 {
      // 12.345.678-Z
      if text[index] == 0x2E, digits == 2 || digits == 5 { index &+= 1 }
      guard ScrubBytes.isDigit(text[index]) else { return nil }
      number = number &* 10 &+ Int(text[index] & 15)
      digits &+= 1
      index &+= 1
    }
    if text[index] == 0x2D || (text[index] == 0x20 && digits == 8) { index &+= 1 }
    guard ScrubBytes.isLetter(text[index]) else { return nil }
    return ByteView("TRWAGMYFPDXBNJZSQVHLCKE")[number % 23] == text[index] & 0xDF ? index &+ 1 : nil
  }
}
