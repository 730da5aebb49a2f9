import Contract

/// The constant that redacts a column of a type; every one is cast to the column's own type.
struct MaskConstant {
  /// As SQL, without the cast.
  let literal: [UInt8]
  /// `literal` is a call that needs NULL of the type as its argument.
  let isEnum: Bool

  /// nil where the type has none.
  init?(_ row: MaskRow) {
    guard let literal = MaskConstant.literal(row) else {
      // enum_first does not take a domain over an enum.
      guard row.type == WARDEN_TYPE_ENUM, !row.isDomain else { return nil }
      literal = []
      isEnum = true
      return
    }
    self.literal = literal
    isEnum = false
  }

  private static func literal(_ row: MaskRow) -> [UInt8]? {
    switch row.type {
    case WARDEN_TYPE_TEXT: text(row.maxCharacters)
    case WARDEN_TYPE_INTEGER, WARDEN_TYPE_NUMERIC: [UInt8]("0")
    case WARDEN_TYPE_BOOLEAN: [UInt8]("false")
    case WARDEN_TYPE_DATE: [UInt8]("'1970-01-01'")
    case WARDEN_TYPE_TIME: [UInt8]("'00:00'")
    case WARDEN_TYPE_INTERVAL: [UInt8]("'0'")
    case WARDEN_TYPE_UUID: [UInt8]("'00000000-0000-0000-0000-000000000000'")
    case WARDEN_TYPE_JSON: [UInt8]("'\"[redacted]\"'")
    case WARDEN_TYPE_BYTEA: [UInt8]("'\\x'")
    case WARDEN_TYPE_NETWORK: [UInt8]("'0.0.0.0'")
    case WARDEN_TYPE_ARRAY: [UInt8]("'{}'")
    default: nil
    }
  }

  private static func text(_ maxCharacters: Int32) -> [UInt8] {
    var literal = [UInt8]("'")
    let whole = [UInt8]("[redacted]")
    literal += maxCharacters < 0 ? whole[...] : whole.prefix(Int(maxCharacters))
    literal.append("'")
    return literal
  }
}

/// The SQL that stands in the masking view for a column.
enum MaskExpression {
  static func write(_ method: MaskMethod, for row: MaskRow, to writer: inout TextWriter) throws(PolicyError) {
    switch method {
    case .null:
      writer.append("NULL")
    case .redact:
      try redact(row, &writer)
    case .partial(let options):
      writer.append("(warden.mask_partial(")
      writer.append(row.column)
      writer.append("::pg_catalog.text, ")
      writer.append(number: options.prefix)
      writer.append(", ")
      writer.append(number: options.suffix)
      writer.append(", ")
      quote(options.fill, &writer)
      writer.append("))")
    case .email:
      writer.append("(warden.mask_email(")
      writer.append(row.column)
      writer.append("::pg_catalog.text))")
    }
    writer.append("::")
    writer.append(row.typeName)
  }

  private static func redact(_ row: MaskRow, _ writer: inout TextWriter) throws(PolicyError) {
    guard let constant = MaskConstant(row) else {
      throw PolicyError(
        .invalidParameter, "method redact has no constant for the type of column", row.target,
        hint: "Use method null.")
    }
    guard constant.isEnum else { return writer.append(constant.literal) }
    writer.append("(pg_catalog.enum_first(NULL::")
    writer.append(row.typeName)
    writer.append("))")
  }

  /// A literal that means the same whatever standard_conforming_strings is.
  private static func quote(_ text: [UInt8], _ writer: inout TextWriter) {
    if text.contains(92) { writer.append("E") }
    writer.append("'")
    for byte in text {
      if byte == 39 || byte == 92 { writer.append(byte) }
      writer.append(byte)
    }
    writer.append("'")
  }
}
