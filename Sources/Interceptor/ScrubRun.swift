extension ScrubSecrets {
  /// A run of letters, digits and the signs of base64, and whether it looks like chance: hexadecimal digests and keys,
  /// base64 of random bytes.
  struct Run {
    let end: Int
    let isSecret: Bool

    init(_ text: ByteView, from start: Int) {
      var count = Counts()
      var index = start
      while index < text.count, count.take(text[index]) { index &+= 1 }
      while index > start, text[index &- 1] == 0x2D || text[index &- 1] == 0x2F { index &-= 1 }
      while text[index] == 0x3D { index &+= 1 }
      end = index
      isSecret = count.isHexadecimal || count.isRandom
    }
  }

  private struct Counts {
    private var length = 0
    private var digits = 0
    private var upper = 0
    private var lower = 0
    private var hexadecimal = 0
    private var changes = 0
    private var last: UInt8 = 0
    private var seen = SIMD2<UInt64>(0, 0)

    /// False where the byte is not of the run.
    mutating func take(_ byte: UInt8) -> Bool {
      let kind: UInt8
      if ScrubBytes.isDigit(byte) {
        digits &+= 1
        kind = 1
      } else if ScrubBytes.isUpper(byte) {
        upper &+= 1
        kind = 2
      } else if ScrubBytes.isLetter(byte) {
        lower &+= 1
        kind = 3
      } else if byte == 0x2B || byte == 0x2D || byte == 0x2F || byte == 0x5F {
        kind = 4
      } else {
        return false
      }
      if ScrubBytes.isHex(byte) { hexadecimal &+= 1 }
      if kind != last { changes &+= 1 }
      last = kind
      length &+= 1
      if byte < 64 { seen[0] |= 1 << UInt64(byte) } else { seen[1] |= 1 << UInt64(byte & 63) }
      return true
    }

    private var distinct: Int { seen[0].nonzeroBitCount &+ seen[1].nonzeroBitCount }

    /// 128 bits and more: a digest, a key.
    var isHexadecimal: Bool {
      length >= 32 && hexadecimal == length && digits >= 4 && distinct >= 8 && (upper > 0 || lower > 0)
    }

    /// Words, numbers and paths change less often from one kind of character to another than chance does.
    var isRandom: Bool {
      length >= 32 && digits >= 3 && upper >= 3 && lower >= 3 && distinct >= 16 && changes &* 3 >= length
    }
  }
}
