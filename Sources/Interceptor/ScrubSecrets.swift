/// Keys, tokens and passwords.
enum ScrubSecrets {
  private static func key(_ start: Int, _ end: Int) -> MaskScrub.Match {
    MaskScrub.Match(start: start, end: end, marker: "[key]")
  }

  /// Not a secret, but its digits are no number of anybody's: 8-4-4-4-12 hexadecimal digits.
  static func uuid(_ text: ByteView, at start: Int) -> MaskScrub.Match? {
    guard text[start &+ 8] == 0x2D, text[start &+ 13] == 0x2D, text[start &+ 18] == 0x2D, text[start &+ 23] == 0x2D
    else { return nil }
    for offset in 0..<36 where offset != 8 && offset != 13 && offset != 18 && offset != 23 {
      guard ScrubBytes.isHex(text[start &+ offset]) else { return nil }
    }
    guard !ScrubBytes.isAlphanumeric(text[start &+ 36]) else { return nil }
    return MaskScrub.Match(start: start, end: start &+ 36, marker: nil)
  }

  // MARK: Told by their beginning

  /// A prefix that a service gives its keys, and the fewest characters that follow.
  struct Prefix {
    let text: StaticString
    let fewest: Int
  }

  /// As the services document them, by first letter: AWS, GitHub, GitLab, Slack, Stripe, Google, OpenAI and Anthropic,
  /// npm, PyPI, SendGrid, Hugging Face, DigitalOcean, Shopify, Square, Databricks, Twilio, Mailgun.
  private static func prefixes(_ letter: UInt8) -> [Prefix] {
    switch letter {
    case 0x41: aws
    case 0x61...0x66: early
    case 0x67: git
    case 0x68...0x6F: middle
    case 0x70...0x72: late
    case 0x73: stripe
    case 0x77...0x79: slack
    case 0x53: sendgrid
    default: []
    }
  }

  private static let aws = [
    Prefix(text: "AKIA", fewest: 16), Prefix(text: "ASIA", fewest: 16), Prefix(text: "AGPA", fewest: 16),
    Prefix(text: "AROA", fewest: 16), Prefix(text: "AIza", fewest: 30), Prefix(text: "ACCESS_", fewest: 30),
    Prefix(text: "AC", fewest: 32),
  ]
  private static let early = [Prefix(text: "dop_v1_", fewest: 32), Prefix(text: "dapi", fewest: 32)]
  private static let git = [
    Prefix(text: "ghp_", fewest: 20), Prefix(text: "gho_", fewest: 20), Prefix(text: "ghu_", fewest: 20),
    Prefix(text: "ghs_", fewest: 20), Prefix(text: "ghr_", fewest: 20), Prefix(text: "github_pat_", fewest: 20),
    Prefix(text: "glpat-", fewest: 16),
  ]
  private static let middle = [
    Prefix(text: "hf_", fewest: 24), Prefix(text: "key-", fewest: 32), Prefix(text: "npm_", fewest: 24),
  ]
  private static let late = [
    Prefix(text: "pypi-", fewest: 24), Prefix(text: "pk_live_", fewest: 10), Prefix(text: "pk_test_", fewest: 10),
    Prefix(text: "rk_live_", fewest: 10), Prefix(text: "rk_test_", fewest: 10),
  ]
  private static let stripe = [
    Prefix(text: "sk_live_", fewest: 10), Prefix(text: "sk_test_", fewest: 10), Prefix(text: "sk-", fewest: 20),
    Prefix(text: "shpat_", fewest: 24), Prefix(text: "shpss_", fewest: 24), Prefix(text: "sq0atp-", fewest: 20),
    Prefix(text: "sq0csp-", fewest: 20),
  ]
  private static let slack = [
    Prefix(text: "xoxb-", fewest: 10), Prefix(text: "xoxp-", fewest: 10), Prefix(text: "xoxa-", fewest: 10),
    Prefix(text: "xoxr-", fewest: 10), Prefix(text: "xoxs-", fewest: 10), Prefix(text: "xoxe-", fewest: 10),
    Prefix(text: "xapp-", fewest: 10), Prefix(text: "whsec_", fewest: 10), Prefix(text: "ya29.", fewest: 20),
  ]
  private static let sendgrid = [Prefix(text: "SG.", fewest: 30), Prefix(text: "SK", fewest: 32)]

  static func prefixed(_ text: ByteView, at start: Int) -> MaskScrub.Match? {
    if text.hasBytes("eyJ", at: start) { return jsonWebToken(text, start) }
    for prefix in prefixes(text[start]) where text.hasBytes(prefix.text, at: start) {
      let body = start &+ prefix.text.utf8CodeUnitCount
      // Letters with hyphens between them are prose in a file's name.
      let end = tokenEnd(text, body, most: longestLook)
      guard end &- body >= prefix.fewest, hasDigit(text, body, end) else { continue }
      return key(start, tokenEnd(text, end, most: text.count))
    }
    return nil
  }

  /// How far is looked for what makes a token one: a run may have many beginnings, and each is looked at.
  private static let longestLook = 96

  private static func tokenEnd(_ text: ByteView, _ start: Int, most: Int) -> Int {
    var end = start
    while end &- start < most,
      ScrubBytes.isToken(text[end]) || (text[end] == 0x2E && ScrubBytes.isToken(text[end &+ 1]))
    {
      end &+= 1
    }
    return end
  }

  private static func hasDigit(_ text: ByteView, _ start: Int, _ end: Int) -> Bool {
    var index = start
    while index < end {
      if ScrubBytes.isDigit(text[index]) { return true }
      index &+= 1
    }
    return false
  }

  /// RFC 7519: three parts of base64url with dots between them; both JSON parts begin {" and so eyJ.
  private static func jsonWebToken(_ text: ByteView, _ start: Int) -> MaskScrub.Match? {
    var dot = start
    while dot &- start < 4 * longestLook, ScrubBytes.isToken(text[dot]) { dot &+= 1 }
    guard text[dot] == 0x2E else { return nil }
    let end = tokenEnd(text, dot, most: text.count)
    return end &- start >= 20 ? key(start, end) : nil
  }

  // MARK: Told by a word before them

  /// `Bearer …`, `Basic …` (RFC 6750, RFC 7617), `password is …`.
  static func announced(_ text: ByteView, at start: Int) -> MaskScrub.Match? {
    let length: Int
    switch text[start] | 0x20 {
    case 0x62 where text.hasWord("bearer ", at: start): length = 7
    case 0x62 where text.hasWord("basic ", at: start): length = 6
    case 0x70 where text.hasWord("password is ", at: start): length = 12
    case 0x70 where text.hasWord("password was ", at: start): length = 13
    case 0x70 where text.hasWord("passwort ist ", at: start): length = 13
    case 0x70 where text.hasWord("passcode is ", at: start): length = 12
    default: return nil
    }
    let isScheme = text[start] | 0x20 == 0x62
    var end = start &+ length
    var others = 0
    while end < text.count, !ScrubBytes.isSpace(text[end]) {
      if !ScrubBytes.isLetter(text[end]) { others &+= 1 }
      end &+= 1
    }
    while end > start &+ length, isClosing(text[end &- 1]) {
      end &-= 1
      others &-= 1
    }
    let size = end &- start &- length
    guard isScheme ? size >= 8 && (others > 0 || size >= 20) : size > 0 && others > 0 else { return nil }
    return key(start &+ length, end)
  }

  private static func isClosing(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x22, 0x27, 0x29, 0x2C, 0x2E, 0x3B, 0x3E, 0x5D, 0x7D: true
    default: false
    }
  }

  /// How much a name says about its value.
  private enum Name {
    /// The value is a secret.
    case certain
    /// It is, where it looks like one.
    case likely
  }

  private static let certainNames: [StaticString] = [
    "password", "passwd", "passwort", "passphrase", "passcode", "pwd", "secret", "secret_key", "secretkey",
    "secret-key", "private_key", "accountkey", "sharedaccesskey", "secretaccesskey", "secret_access_key", "cvv", "cvc",
  ]
  private static let likelyNames: [StaticString] = [
    "token", "api_key", "apikey", "api-key", "api key", "access_key", "accesskey", "access-key", "auth_key", "authkey",
    "encryption_key", "signing_key", "credential", "credentials", "session_id", "sessionid", "sid", "pass", "pin",
    "otp",
    "sig", "signature", "cookie",
  ]

  /// `password=…`, `"token": "…"`: a secret's name before the sign, in quotes perhaps, and its value behind it.
  static func named(_ text: ByteView, sign: Int, floor: Int) -> MaskScrub.Match? {
    var last = sign &- 1
    while last > floor, sign &- last < 5, text[last] == 0x20 || text[last] == 0x22 || text[last] == 0x27 { last &-= 1 }
    guard last >= floor, let name = name(text, endingAt: last, floor) else { return nil }
    var start = sign &+ 1
    while start &- sign < 6, text[start] == 0x20 || text[start] == 0x3D || text[start] == 0x3E { start &+= 1 }
    let (from, end) = value(text, start)
    guard end > from, text[from] != 0x2A else { return nil }
    if name == .likely {
      guard end &- from >= 4, hasDigit(text, from, end) || end &- from >= 20 else { return nil }
    }
    return key(from, end)
  }

  private static func name(_ text: ByteView, endingAt last: Int, _ floor: Int) -> Name? {
    let end = last &+ 1
    guard ScrubBytes.isLetter(text[last]) else { return nil }
    for name in certainNames where isName(name, text, end, floor, isWhole: false) { return .certain }
    for name in likelyNames where isName(name, text, end, floor, isWhole: name.utf8CodeUnitCount < 5) { return .likely }
    return nil
  }

  /// Short ones are found as words only: `bypass`, `basin`.
  private static func isName(_ name: StaticString, _ text: ByteView, _ end: Int, _ floor: Int, isWhole: Bool) -> Bool {
    let start = end &- name.utf8CodeUnitCount
    guard start >= floor, text.hasWord(name, at: start) else { return false }
    return !isWhole || start == floor || !ScrubBytes.isLetter(text[start &- 1])
  }

  /// Within its quotes, or up to what ends a word in prose, SQL, JSON or a query string.
  private static func value(_ text: ByteView, _ start: Int) -> (Int, Int) {
    let quote = text[start]
    var end = start
    if quote == 0x22 || quote == 0x27 {
      end &+= 1
      while end < text.count, text[end] != quote { end &+= text[end] == 0x5C ? 2 : 1 }
      if end < text.count { return (start &+ 1, end) }
      return (start &+ 1, text.count)
    }
    while end < text.count, !ScrubBytes.isSpace(text[end]), !endsValue(text[end]) { end &+= 1 }
    while end > start, text[end &- 1] == 0x2E { end &-= 1 }
    return (start, end)
  }

  private static func endsValue(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x22, 0x26, 0x27, 0x29, 0x2C, 0x3B, 0x3C, 0x3E, 0x5D, 0x7D: true
    default: false
    }
  }

  // MARK: Private keys

  /// `-----BEGIN … PRIVATE KEY-----` up to the end of `-----END …-----` (RFC 7468), or of the text.
  static func privateKey(_ text: ByteView, at start: Int) -> MaskScrub.Match? {
    guard text.hasBytes("-----BEGIN ", at: start), text[start &- 1] != 0x2D else { return nil }
    var index = start &+ 11
    while index < start &+ 60, !text.hasBytes("PRIVATE KEY", at: index) { index &+= 1 }
    guard text.hasBytes("PRIVATE KEY", at: index) else { return nil }
    while index < text.count {
      if text[index] == 0x2D, text.hasBytes("-----END ", at: index) {
        index &+= 9
        while index < text.count, text[index] != 0x2D, text[index] != 0x0A { index &+= 1 }
        while text[index] == 0x2D { index &+= 1 }
        return key(start, index)
      }
      index &+= 1
    }
    return key(start, text.count)
  }
}
