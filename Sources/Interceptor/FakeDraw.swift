/// Draws from a keyed digest: 32 bytes that are as good as random are enough for eight draws of 32 bits, and what is
/// drawn after those comes of mixing them on.
struct FakeDraw {
  static let digestLength = 32
  /// Of `suffix`.
  static let suffixLength = 8

  private let words: (UInt64, UInt64, UInt64, UInt64)
  private var drawn: UInt64 = 0

  init(_ digest: ByteView) {
    words = (
      digest.load(at: 0, as: UInt64.self).littleEndian, digest.load(at: 8, as: UInt64.self).littleEndian,
      digest.load(at: 16, as: UInt64.self).littleEndian, digest.load(at: 24, as: UInt64.self).littleEndian
    )
  }

  /// 64 bits: one of the digest's words, mixed by the finisher of SplitMix64 (Steele, Lea and Flood, "Fast splittable
  /// pseudorandom number generators", 2014) so that no two draws are the same bits.
  mutating func next() -> UInt64 {
    let word =
      switch drawn & 3 {
      case 0: words.0
      case 1: words.1
      case 2: words.2
      default: words.3
      }
    drawn &+= 1
    var mixed = word &+ drawn &* 0x9E37_79B9_7F4A_7C15
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }

  /// A number from 0 up to, not including, `count`; 0 where there is none.
  mutating func below(_ count: Int) -> Int {
    guard count > 0 else { return 0 }
    // Lemire's multiplication: the upper half of the product.
    return Int(truncatingIfNeeded: next().multipliedFullWidth(by: UInt64(count)).high)
  }

  mutating func word(_ list: [StaticString]) -> ByteView {
    let index = below(list.count)
    return index < list.count ? ByteView(list[index]) : ByteView.null
  }

  /// `count` decimal digits, at most 18 of them.
  mutating func digits(_ count: Int, to writer: inout ByteWriter) {
    var rest = next()
    for _ in 0..<max(0, min(count, 18)) {
      writer.append(UInt8(truncatingIfNeeded: 48 &+ rest % 10))
      rest /= 10
    }
  }

  /// Eight letters and digits, 40 bits, without those that are taken for one another.
  mutating func suffix(to writer: inout ByteWriter) {
    var rest = next()
    let alphabet = ByteView("abcdefghjkmnpqrstuvwxyz123456789")
    for _ in 0..<FakeDraw.suffixLength {
      writer.append(alphabet[Int(truncatingIfNeeded: rest & 31)])
      rest >>= 5
    }
  }
}
