import Contract

extension MaskMethod {
  /// A constant of the column's type.
  static let redact = MaskMethod(name: "redact", kinds: WardenTypeKind.every, isConstant: true) {
    (row, writer) throws(PolicyError) in
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

  /// NULL, of every type.
  static let null = MaskMethod(name: "null", kinds: WardenTypeKind.every, isConstant: true, isNull: true) {
    (_, writer) throws(PolicyError) in writer.append("NULL")
  }
}
