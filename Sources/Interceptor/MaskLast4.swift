import Contract

extension MaskMethod {
  /// The last four letters and digits of a card, an account, a phone.
  static let last4 = MaskMethod(name: "last4", kinds: [WARDEN_TYPE_TEXT], masksElements: true) {
    (row, writer) throws(PolicyError) in
    writer.append("(warden.mask_last4(")
    row.writeValue(as: "text", to: &writer)
    writer.append("))")
  }
}

/// The last four characters of a text that has enough of them.
enum MaskLast4 {
  /// More is hidden than shown.
  private static let least = 9

  static func last4(_ value: TextView, encoding: WardenEncoding, to writer: inout TextWriter) {
    writer.append("****")
    guard encoding != WARDEN_ENCODING_OPAQUE else { return }
    let walk = CharacterWalk(text: value, encoding: encoding)
    // Where the last four of them that have passed begin and end, the latest last.
    var last = ((0, 0), (0, 0), (0, 0), (0, 0))
    var count = 0
    var position = 0
    while position < value.count {
      let end = walk.end(after: position)
      guard let lead = value.bytes.element(at: position) else { return }
      if lead >= 0x80, end == position &+ 1, encoding == WARDEN_ENCODING_UTF8 { return }
      if isSignificant(lead) {
        last = (last.1, last.2, last.3, (position, end))
        count &+= 1
      }
      position = end
    }
    guard count >= least else { return }
    append(value, last.0, &writer)
    append(value, last.1, &writer)
    append(value, last.2, &writer)
    append(value, last.3, &writer)
  }

  /// Letters and digits; what is beyond ASCII counts as a letter.
  private static func isSignificant(_ byte: UInt8) -> Bool {
    let lower = byte | 32
    return byte >= 0x80 || (byte >= 48 && byte <= 57) || (lower >= 97 && lower <= 122)
  }

  private static func append(_ value: TextView, _ part: (Int, Int), _ writer: inout TextWriter) {
    var position = part.0
    while position < part.1, let byte = value.bytes.element(at: position) {
      writer.append(byte)
      position &+= 1
    }
  }
}
