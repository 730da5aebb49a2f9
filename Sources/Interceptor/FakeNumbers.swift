/// Fake numbers that pass the check which applications make, and belong to nobody.
enum FakeNumbers {
  /// 16 digits that begin 400000, the range of the card schemes' test numbers, and pass Luhn (ISO/IEC 7812-1, annex B).
  static func card(_ draw: inout FakeDraw, to writer: inout ByteWriter) {
    let start = writer.count
    writer.append("400000")
    draw.digits(9, to: &writer)
    let digits = writer.written(since: start)
    var sum = 0
    for index in 0..<15 {
      var digit = Int(digits[index]) &- 48
      if index & 1 == 0 { digit = digit > 4 ? digit &* 2 &- 9 : digit &* 2 }
      sum &+= digit
    }
    writer.append(UInt8(truncatingIfNeeded: 48 &+ (10 &- sum % 10) % 10))
  }

  /// A German IBAN whose check digits are right (ISO 13616, mod 97). Its bank code begins with 0, which no clearing area
  /// of the Bundesbank has: there is no such bank. 17 digits are drawn.
  static func iban(_ draw: inout FakeDraw, to writer: inout ByteWriter) {
    var remainder = 0
    var body = draw.next()
    let account = draw.next() % 10_000_000_000
    body = (body % 10_000_000) &* 10_000_000_000 &+ account
    var divisor: UInt64 = 100_000_000_000_000_000
    var rest = divisor
    while rest > 0 {
      remainder = (remainder &* 10 &+ Int(truncatingIfNeeded: body / rest % 10)) % 97
      rest /= 10
    }
    // D and E are 13 and 14, the check digits 00.
    for digit in [1, 3, 1, 4, 0, 0] { remainder = (remainder &* 10 &+ digit) % 97 }
    writer.append("DE")
    writer.append(twoDigits: 98 &- remainder)
    while divisor > 0 {
      writer.append(UInt8(truncatingIfNeeded: 48 &+ body / divisor % 10))
      divisor /= 10
    }
  }

  /// 198.18.0.0/15, kept for benchmarks (RFC 2544), and the three networks for documentation (RFC 5737).
  static func ipv4(_ draw: inout FakeDraw, to writer: inout ByteWriter) {
    switch draw.below(16) {
    case 0: writer.append("192.0.2.")
    case 1: writer.append("198.51.100.")
    case 2: writer.append("203.0.113.")
    default:
      writer.append("198.")
      writer.append(decimal: UInt64(18 &+ draw.below(2)))
      writer.append(0x2E)
      writer.append(decimal: UInt64(draw.below(256)))
      writer.append(0x2E)
    }
    writer.append(decimal: UInt64(1 &+ draw.below(254)))
  }

  /// 2001:db8::/32, kept for documentation (RFC 3849).
  static func ipv6(_ draw: inout FakeDraw, to writer: inout ByteWriter) {
    writer.append("2001:db8")
    for _ in 0..<6 {
      writer.append(0x3A)
      let group = draw.below(65536)
      writer.append(hex: UInt8(truncatingIfNeeded: group >> 8))
      writer.append(hex: UInt8(truncatingIfNeeded: group))
    }
  }

  /// In the form of a random one (RFC 9562, version 4).
  static func uuid(_ draw: inout FakeDraw, to writer: inout ByteWriter) {
    let halves = [
      draw.next() & 0xFFFF_FFFF_FFFF_0FFF | 0x4000, draw.next() & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000,
    ]
    var position = 0
    for half in halves {
      for byte in 0..<8 {
        if position == 4 || position == 6 || position == 8 || position == 10 { writer.append(0x2D) }
        writer.append(hex: UInt8(truncatingIfNeeded: half >> UInt64(56 &- byte &* 8)))
        position &+= 1
      }
    }
  }
}

extension ByteWriter {
  /// 07, 42: of a number below 100.
  mutating func append(twoDigits number: Int) {
    append(UInt8(truncatingIfNeeded: 48 &+ number / 10 % 10))
    append(UInt8(truncatingIfNeeded: 48 &+ number % 10))
  }

  mutating func append(lowercase text: ByteView) {
    for index in 0..<text.count {
      let byte = text[index]
      append(byte >= 0x41 && byte <= 0x5A ? byte | 0x20 : byte)
    }
  }
}
