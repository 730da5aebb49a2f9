import Contract

/// The SQL that stands in the masking view for a column.
enum MaskExpression {
  /// Writes it, of exactly the column's type.
  static func write(_ method: MaskMethod, for row: MaskRow, to writer: inout TextWriter) throws(PolicyError) {
    // What a domain does not take is not shown.
    let mayFail = row.isDomain && !method.isConstant && !method.fitsDomains
    if mayFail { writer.append("(warden.mask_caught(") }
    try method.write(row, &writer)
    writer.append("::")
    writer.append(row.typeName)
    guard mayFail else { return }
    writer.append(", ")
    if row.domainIsNotNull, let constant = MaskConstant(row), !constant.isEnum {
      writer.append(constant.literal)
    } else {
      writer.append("NULL")
    }
    writer.append("::")
    writer.append(row.typeName)
    writer.append("))::")
    writer.append(row.typeName)
  }

  /// What a mask that is allowed all the same deserves to be told of; nil: nothing.
  static func notice(_ method: MaskMethod, for row: MaskRow) -> (message: Message, hint: Message)? {
    if method.isNull, row.isNotNull {
      return (
        Message("masked subjects see NULL in column \"%1$s\", which is NOT NULL", row.target.copy),
        Message("A dump that a masked subject makes will not restore: a method other than null makes one that does.")
      )
    }
    guard method.isConstant, row.isUnique else { return nil }
    return (
      Message("masked subjects see the same value in every row of column \"%1$s\", which is unique", row.target.copy),
      Message("A dump that a masked subject makes will not restore: method hash makes one that does.")
    )
  }

  /// A literal that means the same whatever standard_conforming_strings is.
  static func quote(_ text: [UInt8], _ writer: inout TextWriter) {
    if text.contains(92) { writer.append("E") }
    writer.append("'")
    for byte in text {
      if byte == 39 || byte == 92 { writer.append(byte) }
      writer.append(byte)
    }
    writer.append("'")
  }
}

extension MaskRow {
  /// The column, cast to a type of pg_catalog, an array of it where the column is an array.
  func writeValue(as type: StaticString, to writer: inout TextWriter) {
    writer.append(column)
    writer.append("::pg_catalog.")
    writer.append(type)
    if isArray { writer.append("[]") }
  }
}
