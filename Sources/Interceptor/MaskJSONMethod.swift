import Contract

extension MaskMethod {
  /// Members of json and jsonb, named by paths (options `paths`, with `methods` in the same order) or by their names
  /// wherever they are (`keys`); all else stays.
  static let json = MaskMethod(
    name: "json", kinds: [WARDEN_TYPE_JSON], masksElements: true, options: ["paths", "methods", "keys"]
  ) { (row, writer) throws(PolicyError) in
    let plan = try JSONOptions.plan(row)
    writer.append("(warden.mask_json(")
    row.writeValue(as: "text", to: &writer)
    writer.append(", ")
    MaskExpression.quote(plan, &writer)
    writer.append("))")
  }
}

/// The plan that the options of method json come to.
private enum JSONOptions {
  /// So long that the masking view's expression has room for it, with every character quoted.
  private static let longest = 1800

  static func plan(_ row: MaskRow) throws(PolicyError) -> [UInt8] {
    let options = MaskOptions(row)
    let paths = options.values("paths")
    let methods = options.values("methods")
    let keys = options.values("keys")
    guard methods.isEmpty || methods.count == paths.count else {
      throw PolicyError(
        .invalidParameter, Message("option methods has not as many entries as paths"),
        hint: Message("For example: {\"paths\": {\"card.number\": \"last4\", \"**.email\": \"email\"}}."))
    }
    guard !paths.isEmpty || !keys.isEmpty else {
      throw PolicyError(
        .invalidParameter, Message("method json needs option paths or keys for column \"%1$s\"", row.target.copy),
        hint: Message("For example: {\"paths\": [\"card.number\", \"contacts[*].phone\", \"**.email\"]}."))
    }
    var plan: [UInt8] = []
    for (index, path) in paths.enumerated() {
      let name = try method(index < methods.count ? methods[index] : nil)
      try add([UInt8](name), path.copyOrNil, path, "paths", to: &plan)
    }
    for key in keys {
      let quoted = key.copyOrNil.map { [UInt8]("**.\"") + $0 + [UInt8]("\"") }
      try add([UInt8]("redact"), quoted, key, "keys", to: &plan)
    }
    guard plan.count <= longest, ByteView.lend(plan, { JSONPlan($0) != nil }) else {
      throw PolicyError(
        .invalidParameter, Message("too many paths for column \"%1$s\"", row.target.copy),
        hint: Message("Paths such as **.email stand for many."))
    }
    return plan
  }

  private static func method(_ text: TextView?) throws(PolicyError) -> StaticString {
    guard let text else { return JSONMethod.redact.name }
    for method in JSONMethod.all where text.equals(method.name) { return method.name }
    throw MaskOptions.invalid(
      "methods", text, Message("Accepted: %1$s.", MaskMethod.list(JSONMethod.all.map { $0.name })))
  }

  private static func add(
    _ method: [UInt8], _ path: [UInt8]?, _ written: TextView, _ option: StaticString, to plan: inout [UInt8]
  ) throws(PolicyError) {
    let line = method + [32] + (path ?? [])
    guard path != nil, !line.contains(where: { $0 < 32 }), ByteView.lend(line, { JSONPlan($0) != nil }) else {
      throw MaskOptions.invalid(
        option, written,
        Message(
          "Accepted: a.b, a[*].b, a[0], *, ** for any depth, and \"names\" in quotes; names without quotes in them."))
    }
    if !plan.isEmpty { plan.append(10) }
    plan += line
  }
}
