import Contract

/// A method of masking with its options.
enum MaskMethod {
  case redact
  case null
  case partial(PartialOptions)
  case email

  var name: StaticString {
    switch self {
    case .redact: "redact"
    case .null: "null"
    case .partial: "partial"
    case .email: "email"
    }
  }

  /// The method that the row asks for, or that is chosen for the column's type.
  init(_ row: MaskRow) throws(PolicyError) {
    if row.method.isNull {
      self = MaskConstant(row) == nil ? .null : .redact
    } else if row.method.equals("redact") {
      self = .redact
    } else if row.method.equals("null") {
      self = .null
    } else if row.method.equals("partial") {
      try MaskMethod.requireText(row)
      self = .partial(try PartialOptions(row))
      return
    } else if row.method.equals("email") {
      try MaskMethod.requireText(row)
      self = .email
    } else {
      throw MaskMethod.unknown(row.method)
    }
    if let key = row.keys.first {
      throw PolicyError(
        .invalidParameter, "unknown option", key, hint: "Methods redact, null and email take no options.")
    }
  }

  private static func unknown(_ method: TextView) -> PolicyError {
    let planned: [StaticString] = [
      "last4", "hash", "fake", "year", "round", "noise", "ip_prefix", "json", "scrub", "expression",
    ]
    let isPlanned = planned.contains { method.equals($0) }
    guard isPlanned else {
      return PolicyError(
        .invalidParameter, "invalid method", method, hint: "Accepted: redact, null, partial, email.")
    }
    return PolicyError(
      .notSupported, "method is not available in this version:", method,
      hint: "Accepted: redact, null, partial, email.")
  }

  private static func requireText(_ row: MaskRow) throws(PolicyError) {
    guard !row.isDomain else {
      throw PolicyError(
        .invalidParameter, "the result of the method need not fit the domain of column", row.target,
        hint: "Use method redact or null.")
    }
    guard row.type == WARDEN_TYPE_TEXT else {
      throw PolicyError(
        .invalidParameter, "method is for text only, not for column", row.target, hint: "Use method redact or null.")
    }
  }
}

/// Options of method partial.
struct PartialOptions {
  private(set) var prefix = 0
  private(set) var suffix = 0
  private(set) var fill = [UInt8]("***")

  init(_ row: MaskRow) throws(PolicyError) {
    for (key, value) in zip(row.keys, row.values) {
      if key.equals("prefix") {
        prefix = try PartialOptions.length(value)
      } else if key.equals("suffix") {
        suffix = try PartialOptions.length(value)
      } else if key.equals("fill") {
        guard !value.isNull, value.count <= 64 else {
          throw PolicyError(
            .invalidParameter, "invalid value of option fill:", value, hint: "Accepted: a text of at most 64 bytes.")
        }
        fill = value.copy
      } else {
        throw PolicyError(
          .invalidParameter, "unknown option", key, hint: "Method partial accepts prefix, suffix and fill.")
      }
    }
  }

  private static func length(_ text: TextView) throws(PolicyError) -> Int {
    var number = 0
    var isNumber = !text.isEmpty && text.count <= 4
    for byte in text.bytes.prefix(4) {
      isNumber = isNumber && byte >= 48 && byte <= 57
      number = number &* 10 &+ Int(byte & 15)
    }
    guard isNumber, number <= 1000 else {
      throw PolicyError(
        .invalidParameter, "invalid value of option prefix or suffix:", text,
        hint: "Accepted: a whole number from 0 to 1000.")
    }
    return number
  }
}
