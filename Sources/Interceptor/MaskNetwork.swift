import Contract

extension MaskMethod {
  /// The network that an address is in.
  static let ipPrefix = MaskMethod(
    name: "ip_prefix", kinds: [WARDEN_TYPE_INET, WARDEN_TYPE_CIDR], masksElements: true, options: ["v4", "v6"]
  ) { (row, writer) throws(PolicyError) in
    let options = MaskOptions(row)
    let four = try options.number("v4", 0...31) ?? 24
    let six = try options.number("v6", 0...127) ?? 48
    writer.append("(warden.mask_ip_prefix(")
    row.writeValue(as: "inet", to: &writer)
    writer.append(", ")
    writer.append(number: four)
    writer.append(", ")
    writer.append(number: six)
    writer.append("))")
  }
}

/// Networks of addresses.
enum MaskNetwork {
  static func network(_ address: ByteView, prefix: Int32, kept: Int32, to writer: inout TextWriter) -> Int32 {
    let bits = max(0, min(prefix, kept))
    for index in 0..<address.count {
      let left = Int(bits) &- index &* 8
      let mask: UInt8 = left >= 8 ? 0xff : left <= 0 ? 0 : 0xff &<< UInt8(truncatingIfNeeded: 8 &- left)
      writer.append(address[index] & mask)
    }
    return bits
  }
}
