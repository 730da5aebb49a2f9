import Contract

extension MaskMethod {
  /// SQL over the column, which C has parsed and bound before (mask_expression_sql.c); a constant where it raises.
  /// Option `column` is the name that the SQL has for the column.
  static let expression = MaskMethod(
    name: "expression", kinds: WardenTypeKind.every, options: ["sql", "column"], fitsDomains: true
  ) { (row, writer) throws(PolicyError) in
    let options = MaskOptions(row)
    _ = try options.text("column", most: 63)
    guard let sql = try options.text("sql", most: 3000), !sql.isEmpty else {
      throw PolicyError(
        .invalidParameter, "method expression needs option sql, for column", row.target,
        hint: "For example: {\"sql\": \"upper(left(name, 1))\"}.")
    }
    writer.append("(warden.mask_caught((")
    writer.append(sql)
    writer.append(")::")
    writer.append(row.typeName)
    writer.append(", ")
    MaskExpression.writeConstant(for: row, &writer)
    writer.append("))")
  }
}

extension MaskExpression {
  /// What redacts the column, of its type; NULL where the type has no constant.
  static func writeConstant(for row: MaskRow, _ writer: inout TextWriter) {
    let constant = MaskConstant(row)
    if let constant, constant.isEnum {
      writer.append("pg_catalog.enum_first(NULL::")
      writer.append(row.typeName)
      writer.append(")")
    } else {
      writer.append(constant?.literal ?? [UInt8]("NULL"))
    }
    writer.append("::")
    writer.append(row.typeName)
  }
}
