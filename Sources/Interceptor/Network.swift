import Contract

/// A network of clients: an entry of `networks => '{…}'`.
struct Network {
  private let high: UInt64
  private let low: UInt64
  private let highMask: UInt64
  private let lowMask: UInt64
  private let isVersion4: Bool

  /// nil where it is none.
  init?(_ row: WardenNetwork) {
    guard row.prefix >= 0, row.prefix <= 128 else { return nil }
    highMask = Network.mask(row.prefix)
    lowMask = Network.mask(row.prefix &- 64)
    high = row.high & highMask
    low = row.low & lowMask
    isVersion4 = row.prefix >= 96 && Network.isMapped(row)
  }

  /// An address of IPv4 is in networks of IPv4 alone, however it is written: not in ::/0, which its mapped form is in.
  func contains(_ address: WardenNetwork) -> Bool {
    guard address.prefix == 128, isVersion4 == Network.isMapped(address) else { return false }
    return address.high & highMask == high && address.low & lowMask == low
  }

  /// The leading `bits` of a word; none or all of them where there are not as many.
  private static func mask(_ bits: Int32) -> UInt64 {
    bits <= 0 ? 0 : bits >= 64 ? .max : ~(UInt64.max >> UInt64(bits))
  }

  /// An address of IPv4 in the form that IPv6 has for it.
  private static func isMapped(_ address: WardenNetwork) -> Bool {
    address.high == 0 && address.low >> 32 == 0xFFFF
  }
}
