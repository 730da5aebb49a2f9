/// Addresses of mail and of networks, and addresses with a password in them.
enum ScrubAddress {
  // MARK: E-mail

  /// Around the @ at `at`: local@label.label, as RFC 5322 has it without comments, and RFC 6531 with letters beyond ASCII;
  /// a local part in quotes, and a space on both sides of the sign, as people write to evade.
  static func email(_ text: ByteView, at: Int, floor: Int) -> MaskScrub.Match? {
    let isSpaced = text[at &- 1] == 0x20 && text[at &+ 1] == 0x20
    guard let end = domainEnd(text, from: isSpaced ? at &+ 2 : at &+ 1) else { return nil }
    let last = isSpaced ? at &- 2 : at &- 1
    guard last >= floor else { return nil }
    let start = text[last] == 0x22 ? quoteStart(text, last, floor) : localStart(text, last, floor)
    guard let start else { return nil }
    return MaskScrub.Match(start: start, end: end, marker: "[email]")
  }

  /// Behind a domain of at least two labels whose last is of letters; nil where there is none.
  private static func domainEnd(_ text: ByteView, from start: Int) -> Int? {
    var index = start
    var dot = -1
    var end = start
    var isName = false
    while index < text.count {
      let byte = text[index]
      if byte == 0x2E {
        guard index > start, text[index &- 1] != 0x2E else { break }
        dot = index
        isName = true
      } else if ScrubBytes.isAlphanumeric(byte) || byte >= 0x80 || byte == 0x2D {
        if dot >= 0 {
          // The label behind the last dot: 42 is none, and neither is one that begins with a digit or a hyphen.
          if index == dot &+ 1 { isName = ScrubBytes.isLetter(byte) || byte >= 0x80 }
          if isName, byte != 0x2D, index > dot &+ 1 { end = index &+ 1 }
        }
      } else {
        break
      }
      index &+= 1
    }
    return end > start ? end : nil
  }

  private static func localStart(_ text: ByteView, _ last: Int, _ floor: Int) -> Int? {
    var start = last &+ 1
    var first = last &+ 1
    while start > floor, isLocal(text[start &- 1]) {
      start &-= 1
      // Signs before the first letter belong to the sentence.
      if ScrubBytes.isAlphanumeric(text[start]) || text[start] >= 0x80 { first = start }
    }
    return first <= last ? first : nil
  }

  private static func isLocal(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x21, 0x23...0x27, 0x2A, 0x2B, 0x2D, 0x2E, 0x5E, 0x5F, 0x7E: true
    default: ScrubBytes.isAlphanumeric(byte) || byte >= 0x80
    }
  }

  /// A quoted local part has at most 64 bytes.
  private static func quoteStart(_ text: ByteView, _ last: Int, _ floor: Int) -> Int? {
    var start = last &- 1
    while start >= max(floor, last &- 66) {
      if text[start] == 0x22 { return start }
      start &-= 1
    }
    return nil
  }

  // MARK: scheme://user:password@host

  static func credentials(_ text: ByteView, colon: Int) -> MaskScrub.Match? {
    guard text[colon &+ 1] == 0x2F, text[colon &+ 2] == 0x2F else { return nil }
    let start = colon &+ 3
    var index = start
    var separator = -1
    var at = -1
    while index < text.count, !endsAuthority(text[index]) {
      if text[index] == 0x3A, separator < 0 { separator = index }
      if text[index] == 0x40 { at = index }
      index &+= 1
    }
    guard separator >= start, at > separator else { return nil }
    return MaskScrub.Match(start: start, end: at, marker: "[key]")
  }

  private static func endsAuthority(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x22, 0x27, 0x2F, 0x3C, 0x3E, 0x5C, 0x60: true
    default: ScrubBytes.isSpace(byte)
    }
  }

  // MARK: IPv6

  /// RFC 4291, section 2.2: eight groups of hexadecimal digits, or fewer around one ::, perhaps with an IPv4 address at
  /// the end. Without a digit in it, it is rather a name of C++ or Ruby; ::1 is nobody's.
  static func ipv6(_ text: ByteView, at start: Int, floor: Int) -> MaskScrub.Match? {
    guard beginsAddress(text, start, floor) else { return nil }
    var address = IPv6Groups()
    var index = start
    while index < text.count, index &- start < 46, address.take(text, &index) {}
    let next = text[index]
    guard address.isValid, !ScrubBytes.isAlphanumeric(next), next != 0x3A || text[index &+ 1] != 0x3A else {
      return nil
    }
    return MaskScrub.Match(start: start, end: index, marker: "[ip]")
  }

  /// Not in the middle of a run of such groups; behind a colon only where a word and not a group stands before it.
  private static func beginsAddress(_ text: ByteView, _ start: Int, _ floor: Int) -> Bool {
    let byte = text[start]
    guard byte == 0x3A ? text[start &+ 1] == 0x3A : ScrubBytes.isHex(byte) else { return false }
    guard start > floor else { return true }
    let previous = text[start &- 1]
    if ScrubBytes.isAlphanumeric(previous) || previous == 0x5F || previous == 0x2E { return false }
    guard previous == 0x3A else { return true }
    var index = start &- 2
    while index >= max(0, start &- 7), ScrubBytes.isHex(text[index]) { index &-= 1 }
    let length = start &- 2 &- index
    return length > 4 || ScrubBytes.isAlphanumeric(text[index])
  }
}

/// Counts the groups of an IPv6 address as they come.
private struct IPv6Groups {
  private var groups = 0
  private var gaps = 0
  private var hasDigit = false
  private var endsInColon = false
  private var isBroken = false

  var isValid: Bool {
    guard !isBroken, hasDigit, !endsInColon else { return false }
    return gaps == 1 ? groups >= 2 && groups <= 7 : gaps == 0 && groups == 8
  }

  /// Takes a group or a colon; false where neither is at `index`.
  mutating func take(_ text: ByteView, _ index: inout Int) -> Bool {
    if text[index] == 0x3A {
      if text[index &+ 1] == 0x3A {
        gaps &+= 1
        endsInColon = false
        index &+= 2
        return gaps == 1
      }
      // A colon behind the address is the sentence's.
      guard groups > 0, ScrubBytes.isHex(text[index &+ 1]) else { return false }
      index &+= 1
      endsInColon = true
      return true
    }
    return takeGroup(text, &index)
  }

  private mutating func takeGroup(_ text: ByteView, _ index: inout Int) -> Bool {
    var end = index
    while end &- index < 5, ScrubBytes.isHex(text[end]) {
      hasDigit = hasDigit || ScrubBytes.isDigit(text[end])
      end &+= 1
    }
    guard end > index else { return false }
    let length = end &- index
    isBroken = isBroken || length > 4
    endsInColon = false
    groups &+= 1
    if text[end] == 0x2E, ScrubBytes.isDigit(text[end &+ 1]), groups > 1 || gaps > 0 {
      // The last two groups as an IPv4 address.
      groups &+= 1
      while end &- index < 16,
        ScrubBytes.isDigit(text[end]) || (text[end] == 0x2E && ScrubBytes.isDigit(text[end &+ 1]))
      {
        end &+= 1
      }
      index = end
      return false
    }
    index = end
    return text[index] == 0x3A
  }
}
