import Contract

/// Numbers that look random and are determined by a key and what they are asked for: SipHash-2-4, a pseudorandom
/// function made for short inputs (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012). Without the key
/// neither the numbers nor what they were asked for can be found.
struct KeyedNumbers {
  private let low: UInt64
  private let high: UInt64

  /// The first 16 bytes of the key.
  init(_ key: ByteView) {
    low = key.load(at: 0, as: UInt64.self).littleEndian
    high = key.load(at: 8, as: UInt64.self).littleEndian
  }

  /// The number for a value; `draw` tells apart what it is asked for.
  func number(_ value: UInt64, draw: UInt64) -> UInt64 {
    var state = SipState(low, high)
    state.take(value)
    state.take(draw)
    return state.finish(length: 16)
  }

  /// The number for bytes.
  func number(_ bytes: ByteView) -> UInt64 {
    var state = SipState(low, high)
    var position = 0
    while position &+ 8 <= bytes.count {
      state.take(bytes.load(at: position, as: UInt64.self).littleEndian)
      position &+= 8
    }
    var rest: UInt64 = 0
    var shift: UInt64 = 0
    while position < bytes.count {
      rest |= UInt64(bytes[position]) &<< shift
      shift &+= 8
      position &+= 1
    }
    return state.finish(length: UInt64(truncatingIfNeeded: bytes.count), rest)
  }

  /// From 0 to `count` - 1; 0 where there is nothing to choose from.
  static func scale(_ number: UInt64, to count: UInt64) -> UInt64 {
    number.multipliedFullWidth(by: count).high
  }

  /// A permutation of the numbers of `left` + `right` bits: a Feistel network of 12 rounds, whose halves may differ by a
  /// bit (format-preserving encryption as in NIST SP 800-38G, with another round function).
  func permute(_ value: UInt64, left: UInt64, right: UInt64) -> UInt64 {
    let leftMask = (1 as UInt64) &<< left &- 1
    let rightMask = (1 as UInt64) &<< right &- 1
    var upper = value &>> right & leftMask
    var lower = value & rightMask
    for round in 0..<12 as Range<UInt64> {
      let draw = 1000 &+ left &* 100 &+ round
      if round & 1 == 0 {
        upper ^= number(lower, draw: draw) & leftMask
      } else {
        lower ^= number(upper, draw: draw) & rightMask
      }
    }
    return upper &<< right | lower
  }
}

private struct SipState {
  private var v0: UInt64
  private var v1: UInt64
  private var v2: UInt64
  private var v3: UInt64

  init(_ low: UInt64, _ high: UInt64) {
    v0 = low ^ 0x736f_6d65_7073_6575
    v1 = high ^ 0x646f_7261_6e64_6f6d
    v2 = low ^ 0x6c79_6765_6e65_7261
    v3 = high ^ 0x7465_6462_7974_6573
  }

  mutating func take(_ word: UInt64) {
    v3 ^= word
    round()
    round()
    v0 ^= word
  }

  mutating func finish(length: UInt64, _ rest: UInt64 = 0) -> UInt64 {
    take(length &<< 56 | rest)
    v2 ^= 0xff
    for _ in 0..<4 { round() }
    return v0 ^ v1 ^ v2 ^ v3
  }

  private mutating func round() {
    v0 &+= v1
    v1 = v1 &<< 13 | v1 &>> 51
    v1 ^= v0
    v0 = v0 &<< 32 | v0 &>> 32
    v2 &+= v3
    v3 = v3 &<< 16 | v3 &>> 48
    v3 ^= v2
    v0 &+= v3
    v3 = v3 &<< 21 | v3 &>> 43
    v3 ^= v0
    v2 &+= v1
    v1 = v1 &<< 17 | v1 &>> 47
    v1 ^= v2
    v2 = v2 &<< 32 | v2 &>> 32
  }
}
