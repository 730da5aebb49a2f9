import Contract

/// The constant that redacts a column of a type; every one is cast to the column's own type.
struct MaskConstant {
  /// As SQL, without the cast.
  let literal: [UInt8]
  /// There is no literal: it is the type's first label.
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
    case WARDEN_TYPE_INTEGER, WARDEN_TYPE_NUMERIC, WARDEN_TYPE_FLOAT, WARDEN_TYPE_MONEY: [UInt8]("0")
    case WARDEN_TYPE_BOOLEAN: [UInt8]("false")
    case WARDEN_TYPE_DATE, WARDEN_TYPE_TIMESTAMP: [UInt8]("'1970-01-01'")
    // One instant, whatever the session's time zone was when the mask was made.
    case WARDEN_TYPE_TIMESTAMPTZ: [UInt8]("'1970-01-01 00:00:00+00'")
    case WARDEN_TYPE_TIME: [UInt8]("'00:00'")
    case WARDEN_TYPE_TIMETZ: [UInt8]("'00:00+00'")
    case WARDEN_TYPE_INTERVAL: [UInt8]("'0'")
    case WARDEN_TYPE_UUID: [UInt8]("'00000000-0000-0000-0000-000000000000'")
    case WARDEN_TYPE_JSON: [UInt8]("'\"[redacted]\"'")
    case WARDEN_TYPE_BYTEA: [UInt8]("'\\x'")
    case WARDEN_TYPE_INET, WARDEN_TYPE_CIDR: [UInt8]("'0.0.0.0'")
    case WARDEN_TYPE_ARRAY: [UInt8]("'{}'")
    default: other(row.baseName)
    }
  }

  private static func text(_ maxCharacters: Int32) -> [UInt8] {
    var literal = [UInt8]("'")
    let whole = [UInt8]("[redacted]")
    literal += maxCharacters < 0 ? whole[...] : whole.prefix(Int(maxCharacters))
    literal.append("'")
    return literal
  }

  /// Types of the server's own that have a value which tells nothing.
  private static func other(_ name: TextView) -> [UInt8]? {
    for (type, constant) in others where name.equals(type) { return [UInt8](constant) }
    return nil
  }

  private static let others: [(type: StaticString, constant: StaticString)] = [
    ("bit", "''"), ("varbit", "''"), ("xml", "'<redacted/>'"), ("tsvector", "''"), ("tsquery", "'redacted'"),
    ("macaddr", "'00:00:00:00:00:00'"), ("macaddr8", "'00:00:00:00:00:00:00:00'"), ("point", "'(0,0)'"),
    ("line", "'{1,0,0}'"), ("lseg", "'[(0,0),(0,0)]'"), ("box", "'(0,0),(0,0)'"), ("path", "'((0,0))'"),
    ("polygon", "'((0,0))'"), ("circle", "'<(0,0),0>'"), ("pg_lsn", "'0/0'"), ("int4range", "'empty'"),
    ("int8range", "'empty'"), ("numrange", "'empty'"), ("daterange", "'empty'"), ("tsrange", "'empty'"),
    ("tstzrange", "'empty'"), ("int4multirange", "'{}'"), ("int8multirange", "'{}'"), ("nummultirange", "'{}'"),
    ("datemultirange", "'{}'"), ("tsmultirange", "'{}'"), ("tstzmultirange", "'{}'"),
  ]
}
