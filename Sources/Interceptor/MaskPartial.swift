import Contract

extension MaskMethod {
  /// Characters at the start and at the end stay (`prefix`, `suffix`), `fill` stands for the rest.
  static let partial = MaskMethod(
    name: "partial", kinds: [WARDEN_TYPE_TEXT], masksElements: true, options: ["prefix", "suffix", "fill"]
  ) { (row, writer) throws(PolicyError) in
    let options = MaskOptions(row)
    let prefix = try options.number("prefix", 0...1000) ?? 0
    let suffix = try options.number("suffix", 0...1000) ?? 0
    let fill = try options.text("fill", most: 64) ?? [UInt8]("***")
    writer.append("(warden.mask_partial(")
    row.writeValue(as: "text", to: &writer)
    writer.append(", ")
    writer.append(number: prefix)
    writer.append(", ")
    writer.append(number: suffix)
    writer.append(", ")
    MaskExpression.quote(fill, &writer)
    writer.append("))")
  }

  /// The first character and the last label of the domain of an e-mail address stay.
  static let email = MaskMethod(name: "email", kinds: [WARDEN_TYPE_TEXT], masksElements: true) {
    (row, writer) throws(PolicyError) in
    writer.append("(warden.mask_email(")
    row.writeValue(as: "text", to: &writer)
    writer.append("))")
  }
}
