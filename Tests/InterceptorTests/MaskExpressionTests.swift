import Contract
import Testing

// The SQL of a masked column, and the definitions that are refused.

@Suite struct MaskExpressionTests {
  struct Definition: Sendable {
    var method: String?
    var options: [(key: String, value: String?)] = []
    var type = WARDEN_TYPE_TEXT
    var typeName = "text"
    var maxCharacters: Int32 = -1
    var isDomain = false
    var baseName = ""
    var element: WardenTypeKind?
    var precision: Int32 = 0
    var scale: Int32 = 0
    var width: Int32 = 32
    var foldsCase = false
    var isNotNull = false
    var domainIsNotNull = false
    var isUnique = false
    var column = "email"
    var room = 1024

    func run() -> (expression: String?, method: String, error: Outcome) {
      let arena = Arena()
      var definition = WardenMaskDefinition(
        target: arena.text("shop.people.email"), method: arena.text(method),
        keys: arena.array(options.map { arena.text($0.key) }),
        values: arena.array(options.map { arena.text($0.value) }),
        option_count: Int64(options.count), column: arena.text(column), type_name: arena.text(typeName),
        base_name: arena.text(baseName), type: type, element: element ?? type, max_characters: maxCharacters,
        precision: precision, scale: scale, width: width, folds_case: foldsCase, is_domain: isDomain,
        domain_not_null: domainIsNotNull, not_null: isNotNull, unique: isUnique)
      var (expression, name, texts) = (arena.buffer(room), arena.buffer(), arena.buffer())
      var verdict = WardenVerdict()
      let isValid = warden_mask_expression(&definition, &expression, &name, &texts, &verdict)
      return (isValid ? string(expression) : nil, isValid ? string(name) : "", Outcome(verdict))
    }
  }

  struct Valid: Sendable {
    let definition: Definition
    let expression: String
    let method: String
  }

  @Test(arguments: [
    Valid(definition: Definition(), expression: "'[redacted]'::text", method: "redact"),
    Valid(
      definition: Definition(method: "redact", typeName: "character varying(4)", maxCharacters: 4),
      expression: "'[red'::character varying(4)", method: "redact"),
    Valid(
      definition: Definition(method: "redact", typeName: "shop.address", isDomain: true),
      expression: "'[redacted]'::shop.address", method: "redact"),
    Valid(definition: Definition(method: "null"), expression: "NULL::text", method: "null"),
    Valid(
      definition: Definition(type: WARDEN_TYPE_INTEGER, typeName: "bigint"), expression: "0::bigint", method: "redact"),
    Valid(
      definition: Definition(type: WARDEN_TYPE_NUMERIC, typeName: "numeric(5,2)"), expression: "0::numeric(5,2)",
      method: "redact"),
    Valid(
      definition: Definition(type: WARDEN_TYPE_BOOLEAN, typeName: "boolean"), expression: "false::boolean",
      method: "redact"),
    Valid(
      definition: Definition(type: WARDEN_TYPE_DATE, typeName: "date"), expression: "'1970-01-01'::date",
      method: "redact"),
    Valid(
      definition: Definition(type: WARDEN_TYPE_TIME, typeName: "time"), expression: "'00:00'::time",
      method: "redact"),
    Valid(
      definition: Definition(type: WARDEN_TYPE_INTERVAL, typeName: "interval"), expression: "'0'::interval",
      method: "redact"),
    Valid(
      definition: Definition(type: WARDEN_TYPE_UUID, typeName: "uuid"),
      expression: "'00000000-0000-0000-0000-000000000000'::uuid", method: "redact"),
    Valid(
      definition: Definition(type: WARDEN_TYPE_JSON, typeName: "jsonb"), expression: #"'"[redacted]"'::jsonb"#,
      method: "redact"),
    Valid(
      definition: Definition(type: WARDEN_TYPE_BYTEA, typeName: "bytea"), expression: #"'\x'::bytea"#,
      method: "redact"),
    Valid(
      definition: Definition(type: WARDEN_TYPE_INET, typeName: "inet"), expression: "'0.0.0.0'::inet",
      method: "redact"),
    Valid(
      definition: Definition(type: WARDEN_TYPE_ARRAY, typeName: "text[]"), expression: "'{}'::text[]",
      method: "redact"),
    Valid(
      definition: Definition(type: WARDEN_TYPE_ENUM, typeName: "shop.mood"),
      expression: "(pg_catalog.enum_first(NULL::shop.mood))::shop.mood", method: "redact"),
    Valid(
      definition: Definition(type: WARDEN_TYPE_ENUM, typeName: "shop.feeling", isDomain: true),
      expression: "NULL::shop.feeling", method: "null"),
    Valid(
      definition: Definition(type: WARDEN_TYPE_OTHER, typeName: "point"), expression: "NULL::point", method: "null"),
    Valid(
      definition: Definition(method: "partial", options: [("prefix", "2"), ("suffix", "1000"), ("fill", "#")]),
      expression: "(warden.mask_partial(email::pg_catalog.text, 2, 1000, '#'))::text", method: "partial"),
    Valid(
      definition: Definition(method: "partial", typeName: "character(9)", maxCharacters: 9, column: #""E Mail""#),
      expression: #"(warden.mask_partial("E Mail"::pg_catalog.text, 0, 0, '***'))::character(9)"#, method: "partial"),
    Valid(
      definition: Definition(method: "partial", options: [("fill", #"o'\'"#)]),
      expression: #"(warden.mask_partial(email::pg_catalog.text, 0, 0, E'o''\\'''))::text"#, method: "partial"),
    Valid(
      definition: Definition(method: "email", typeName: "shop.address", isDomain: true),
      expression: """
        (warden.mask_caught((warden.mask_email(email::pg_catalog.text))::shop.address, \
        NULL::shop.address))::shop.address
        """, method: "email"),
    Valid(
      definition: Definition(method: "email", typeName: "citext"),
      expression: "(warden.mask_email(email::pg_catalog.text))::citext", method: "email"),
  ])
  func valid(_ scenario: Valid) {
    let result = scenario.definition.run()
    #expect(result.expression == scenario.expression)
    #expect(result.method == scenario.method)
  }

  struct Invalid: Sendable {
    let definition: Definition
    let state: String
    let message: String
    var hint = ""
  }

  @Test(arguments: [
    Invalid(
      definition: Definition(method: "blur"), state: "22023", message: #""blur""#,
      hint: "redact, null, partial, email, last4"),
    Invalid(definition: Definition(method: ""), state: "22023", message: "method"),
    Invalid(
      definition: Definition(method: "redact", type: WARDEN_TYPE_OTHER, typeName: "point"), state: "22023",
      message: "shop.people.email", hint: "null"),
    Invalid(
      definition: Definition(method: "redact", type: WARDEN_TYPE_ENUM, typeName: "d", isDomain: true), state: "22023",
      message: "shop.people.email", hint: "null"),
    Invalid(
      definition: Definition(method: "partial", type: WARDEN_TYPE_INTEGER, typeName: "integer"), state: "22023",
      message: "method partial is not for the type", hint: "It takes text. Methods for this column: redact, null"),
    Invalid(definition: Definition(method: "redact", options: [("fill", "x")]), state: "22023", message: #""fill""#),
    Invalid(definition: Definition(options: [("fill", "x")]), state: "22023", message: #""fill""#),
    Invalid(
      definition: Definition(method: "partial", options: [("width", "1")]), state: "22023", message: #""width""#,
      hint: "prefix, suffix"),
    Invalid(
      definition: Definition(method: "partial", options: [("prefix", "1001")]), state: "22023", message: "1001",
      hint: "0 to 1000"),
    Invalid(definition: Definition(method: "partial", options: [("suffix", "-1")]), state: "22023", message: "-1"),
    Invalid(definition: Definition(method: "partial", options: [("prefix", "1.5")]), state: "22023", message: "1.5"),
    Invalid(
      definition: Definition(method: "partial", options: [("prefix", "99999999999999999999")]), state: "22023",
      message: "9999"),
    Invalid(definition: Definition(method: "partial", options: [("prefix", "")]), state: "22023", message: "prefix"),
    Invalid(definition: Definition(method: "partial", options: [("prefix", nil)]), state: "22023", message: "prefix"),
    Invalid(definition: Definition(method: "partial", options: [("fill", nil)]), state: "22023", message: "fill"),
    Invalid(
      definition: Definition(method: "partial", options: [("fill", String(repeating: "x", count: 65))]), state: "22023",
      message: "fill"),
    Invalid(definition: Definition(method: "email", room: 20), state: "22023", message: "too long"),
  ])
  func invalid(_ scenario: Invalid) {
    let result = scenario.definition.run()
    #expect(result.expression == nil)
    #expect(result.error.state == scenario.state)
    #expect(result.error.message?.contains(scenario.message) == true)
    #expect(scenario.hint.isEmpty || result.error.hint?.contains(scenario.hint) == true)
  }
}
