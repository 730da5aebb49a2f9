import Contract

/// A method of masking.
///
/// To add one: a file of its own, named by it, with `extension MaskMethod { static let … }`, and a place in `all`.
/// What the SQL calls is a function `warden.mask_<method>` written in C and declared in sql/, which asks Swift for the
/// value; it is STRICT, PARALLEL SAFE, and STABLE where it uses the secret (`warden_keyed_digest`), IMMUTABLE else.
/// One that masks arrays has a second function of the same name for them, made by WARDEN_MASK_EACH (mask_each.h).
struct MaskMethod: Sendable {
  let name: StaticString
  /// The kinds of columns that it takes.
  let kinds: [WardenTypeKind]
  /// Of an array of these kinds it masks each element, too.
  var masksElements = false
  /// The options that it takes.
  var options: [StaticString] = []
  /// What it writes is of the column's type, and fits a domain.
  var fitsDomains = false
  /// Every row shows the same.
  var isConstant = false
  /// Every row shows NULL.
  var isNull = false
  /// Writes what stands for the column, before it is cast to the column's type: SQL over the column alone, each name in
  /// it qualified. Throws where options are not valid, or no result could fit the column.
  let write: @Sendable (MaskRow, inout TextWriter) throws(PolicyError) -> Void

  /// By the order in which errors name them.
  static var all: [MaskMethod] {
    [
      .redact, .null, .partial, .email, .last4, .hash, .noise, .round, .year, .ipPrefix, .fake, .scrub, .json,
      .expression,
    ]
  }

  /// The method that the row asks for, or that is chosen for the column's type; it takes the column and the options.
  static func chosen(for row: MaskRow) throws(PolicyError) -> MaskMethod {
    let method = try row.method.isNull ? byType(row) : named(row.method)
    guard method.takes(row) else { throw method.refusal(of: row) }
    try MaskOptions(row).check(of: method)
    return method
  }

  /// Is it for columns of the row's type?
  func takes(_ row: MaskRow) -> Bool {
    if row.isArray && masksElements { return kinds.contains(row.element) }
    return kinds.contains(row.type)
  }

  private static func byType(_ row: MaskRow) -> MaskMethod {
    MaskConstant(row) == nil ? .null : .redact
  }

  private static func named(_ name: TextView) throws(PolicyError) -> MaskMethod {
    for method in all where name.equals(method.name) { return method }
    throw PolicyError(
      .invalidParameter, Message("invalid method", quoting: name.copy),
      hint: Message("Accepted: %1$s.", list(all.map { $0.name })))
  }

  private func refusal(of row: MaskRow) -> PolicyError {
    let others = MaskMethod.all.filter { $0.takes(row) }
    return PolicyError(
      .invalidParameter,
      Message("method %1$s is not for the type of column \"%2$s\"", [UInt8](name), row.target.copy),
      hint: Message(
        "It takes %1$s. Methods for this column: %2$s.", MaskMethod.list(kinds.map { $0.description }),
        MaskMethod.list(others.map { $0.name })))
  }

  static func list(_ words: [StaticString]) -> [UInt8] {
    var text: [UInt8] = []
    for word in words {
      if !text.isEmpty { text.append(", ") }
      text.append(word)
    }
    return text
  }
}

extension WardenTypeKind {
  /// Every kind, in the order in which errors name them.
  static let every: [WardenTypeKind] = [
    WARDEN_TYPE_TEXT, WARDEN_TYPE_INTEGER, WARDEN_TYPE_NUMERIC, WARDEN_TYPE_FLOAT, WARDEN_TYPE_MONEY,
    WARDEN_TYPE_BOOLEAN, WARDEN_TYPE_DATE, WARDEN_TYPE_TIMESTAMP, WARDEN_TYPE_TIMESTAMPTZ, WARDEN_TYPE_TIME,
    WARDEN_TYPE_TIMETZ, WARDEN_TYPE_INTERVAL, WARDEN_TYPE_UUID, WARDEN_TYPE_JSON, WARDEN_TYPE_BYTEA,
    WARDEN_TYPE_INET, WARDEN_TYPE_CIDR, WARDEN_TYPE_ENUM, WARDEN_TYPE_ARRAY, WARDEN_TYPE_OTHER,
  ]

  var description: StaticString {
    switch self {
    case WARDEN_TYPE_TEXT: "text"
    case WARDEN_TYPE_INTEGER: "integers"
    case WARDEN_TYPE_NUMERIC: "numeric"
    case WARDEN_TYPE_FLOAT: "real and double precision"
    case WARDEN_TYPE_MONEY: "money"
    case WARDEN_TYPE_BOOLEAN: "boolean"
    case WARDEN_TYPE_DATE: "date"
    case WARDEN_TYPE_TIMESTAMP: "timestamp"
    case WARDEN_TYPE_TIMESTAMPTZ: "timestamp with time zone"
    case WARDEN_TYPE_TIME: "time"
    case WARDEN_TYPE_TIMETZ: "time with time zone"
    case WARDEN_TYPE_INTERVAL: "interval"
    case WARDEN_TYPE_UUID: "uuid"
    case WARDEN_TYPE_JSON: "json and jsonb"
    case WARDEN_TYPE_BYTEA: "bytea"
    case WARDEN_TYPE_INET: "inet"
    case WARDEN_TYPE_CIDR: "cidr"
    case WARDEN_TYPE_ENUM: "enums"
    case WARDEN_TYPE_ARRAY: "arrays"
    default: "other types"
    }
  }
}
