/// International bank account numbers (ISO 13616).
enum ScrubIBAN {
  /// Country and length, from the registry that SWIFT publishes (IBAN Registry, release 99).
  private static let lengths: StaticString = """
    AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28EE20EG29ES24FI18FK18FO18FR27GB22\
    GE22GI23GL18GR27GT28HN28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20LU20LV21LY25MC27MD24ME22MK19MN20\
    MR27MT31MU30NI28NL18NO15OM23PK24PL28PS29PT25QA29RO24RS22RU33SA24SC31SD18SE24SI19SK24SM27SO23ST25SV28TL23TN24TR26\
    UA29VA22VG24XK20YE30
    """

  /// A country's letters, two check digits and as many characters as the country has, in groups perhaps; mod 97 is 1.
  static func match(_ text: ByteView, at start: Int) -> MaskScrub.Match? {
    guard ScrubBytes.isLetter(text[start]), ScrubBytes.isLetter(text[start &+ 1]) else { return nil }
    let digits = isBetween(text[start &+ 2]) ? start &+ 3 : start &+ 2
    guard ScrubBytes.isDigit(text[digits]), ScrubBytes.isDigit(text[digits &+ 1]) else { return nil }
    guard let length = length(text[start] & 0xDF, text[start &+ 1] & 0xDF) else { return nil }
    var index = start
    var taken = 0
    var check = (head: 0, body: 0)
    while taken < length {
      let byte = text[index]
      if taken > 0, isBetween(byte) {
        index &+= 1
        guard ScrubBytes.isAlphanumeric(text[index]) else { return nil }
        continue
      }
      guard ScrubBytes.isAlphanumeric(byte) else { return nil }
      // The first four characters are counted last.
      if taken < 4 { check.head = add(check.head, byte) } else { check.body = add(check.body, byte) }
      taken &+= 1
      index &+= 1
    }
    guard !ScrubBytes.isAlphanumeric(text[index]), (check.body &* 1_000_000 &+ check.head) % 97 == 1 else { return nil }
    return MaskScrub.Match(start: start, end: index, marker: "[iban]")
  }

  private static func isBetween(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x2D || byte == 0x2E }

  /// Letters count as 10 to 35.
  private static func add(_ number: Int, _ byte: UInt8) -> Int {
    if ScrubBytes.isDigit(byte) { return (number &* 10 &+ Int(byte & 15)) % 97 }
    return (number &* 100 &+ Int(byte & 0xDF) &- 55) % 97
  }

  private static func length(_ first: UInt8, _ second: UInt8) -> Int? {
    let table = ByteView(lengths)
    var index = 0
    while index < table.count {
      if table[index] == first, table[index &+ 1] == second {
        return Int(table[index &+ 2] & 15) &* 10 &+ Int(table[index &+ 3] & 15)
      }
      index &+= 4
    }
    return nil
  }
}
