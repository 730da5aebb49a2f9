/// Random statements over the tables of `MaskWorlds`, as one who looks for real values writes them.
struct MaskedQueries {
  var random: SplitMix
  private var aliases = 0

  init(seed: UInt64) { random = SplitMix(seed: seed) }

  /// What one round runs, in a transaction that is rolled back.
  struct Round {
    let door: String
    let steps: [String]
    /// Does it give the same in both worlds? Times, and where a row lies, need not be the same.
    var isComparable = true
    /// By the extended protocol, prepared.
    var isPrepared = false
  }

  enum Kind { case text, number, other }

  struct Column {
    let name: String
    let kind: Kind
  }

  /// What stands in FROM, and what may be said of it.
  struct Scope {
    var sql: String
    var columns: [Column]
    /// Aliases with a row type.
    var rows: [String]
  }

  mutating func pick<T>(_ list: [T]) -> T {
    // No list here is empty.
    list[Int(random.next() % UInt64(list.count))]
  }

  mutating func chance(_ percent: Int) -> Bool { Int(random.next() % 100) < percent }

  private mutating func alias() -> String {
    aliases += 1
    return "a\(aliases)"
  }
}

// MARK: - FROM

extension MaskedQueries {
  private static let people = columns(
    "id:n note:t city:t name:t email:t phone:t age:n born:o salary:n seen:o pass:o doc:o tags:o addr:o ref:o ok:o")
  private static let measures = columns(
    """
    id:n person_id:n v:n m:o b:n p:o r:o x:o iv:o w:t c:t nums:o feels:o mac:o ts:o vb:o bx:o j:o tm:o sm:n nm:o
    """)

  static let tables: [(String, [Column])] = [
    ("people", people), ("measures", measures), ("events", columns("id:n kind:n email:t who:n")),
    ("vehicles", columns("id:n owner:t wheels:n")), ("secured", columns("id:n email:t level:n")),
  ]

  private static let others: [(String, [Column])] = [
    ("v_people", people), ("v_invoker", people), ("v_barrier", people), ("f_people()", people), ("f_atomic()", people),
    ("f_definer()", people), ("ONLY people", people), ("people *", people), ("events_1", columns("id:n email:t who:n")),
    ("events_2", columns("id:n email:t kind:n")), ("cars", columns("id:n owner:t wheels:n plate:t")),
    ("ONLY vehicles", columns("id:n owner:t")), ("notes", columns("id:n person_id:n note:t n:n")),
  ]

  private static func columns(_ list: String) -> [Column] {
    list.split(whereSeparator: \.isWhitespace).map {
      Column(name: String($0.dropLast(2)), kind: $0.hasSuffix("t") ? .text : $0.hasSuffix("n") ? .number : .other)
    }
  }

  private mutating func base() -> Scope {
    if chance(4) {
      return Scope(
        sql: "granted g", columns: [Column(name: "g.id", kind: .number), Column(name: "g.email", kind: .text)], rows: []
      )
    }
    let (sql, columns) = pick(Self.tables + Self.tables + Self.others)
    let alias = alias()
    let sample = Self.tables.contains { $0.0 == sql } && chance(6) ? " TABLESAMPLE SYSTEM (100)" : ""
    return Scope(sql: "\(sql) \(alias)\(sample)", columns: columns.map { $0.of(alias) }, rows: [alias])
  }

  private mutating func derived(_ depth: Int) -> Scope {
    let alias = alias()
    let select = select(depth - 1)
    let columns = (1...select.width).map { Column(name: "\(alias).c\($0)", kind: .text) }
    return Scope(sql: "(\(select.sql)) \(alias)", columns: columns, rows: [alias])
  }

  mutating func from(_ depth: Int) -> Scope {
    let left = depth > 0 && chance(25) ? derived(depth) : base()
    guard depth > 0, chance(45) else { return left }
    let right = depth > 1 && chance(25) ? derived(depth) : base()
    let columns = left.columns + right.columns
    let rows = left.rows + right.rows
    switch random.next() % 4 {
    case 0:
      let alias = alias()
      let inner = right.columns.map {
        Column(name: "\(alias).\($0.name.split(separator: ".").last ?? "")", kind: $0.kind)
      }
      return Scope(
        sql: "\(left.sql) CROSS JOIN LATERAL (SELECT * FROM \(right.sql) WHERE \(joined(left, right))) \(alias)",
        columns: left.columns + inner, rows: left.rows + [alias])
    case 1: return Scope(sql: "\(left.sql), \(right.sql)", columns: columns, rows: rows)
    default:
      let kind = pick(["JOIN", "LEFT JOIN", "RIGHT JOIN"])
      return Scope(sql: "\(left.sql) \(kind) \(right.sql) ON \(joined(left, right))", columns: columns, rows: rows)
    }
  }

  private mutating func joined(_ left: Scope, _ right: Scope) -> String {
    "\(pick(left.columns).name)::text = \(pick(right.columns).name)::text"
  }
}

extension MaskedQueries.Column {
  func of(_ alias: String) -> Self { Self(name: "\(alias).\(name)", kind: kind) }
}

// MARK: - Expressions

extension MaskedQueries {
  mutating func condition(_ scope: Scope, _ depth: Int) -> String {
    let column = pick(scope.columns)
    let e = column.name
    if depth > 0, chance(10) {
      return "EXISTS (SELECT FROM \(from(depth - 1).sql) WHERE f_email(1) = \(e)::text)"
    }
    switch random.next() % 12 {
    case 0: return "\(e) IS \(pick(["NULL", "NOT NULL"]))"
    case 1: return "NOT (\(condition(scope, depth - 1)))"
    case 2: return "(\(condition(scope, depth - 1)) \(pick(["AND", "OR"])) \(condition(scope, depth - 1)))"
    case 3: return "length(\(e)::text) > \(pick([3, 12, 20]))"
    case 4 where column.kind == .number: return "\(e)::numeric > current_setting('g.number')::numeric"
    case 5 where !scope.rows.isEmpty:
      return "\(pick(scope.rows))::text LIKE '%' || current_setting('g.token') || '%'"
    case 6: return "\(e)::text IN (SELECT email FROM people WHERE id < 3)"
    case 7: return "\(e)::text > current_setting('g.text')"
    case 8: return "\(e)::text = current_setting('g.\(pick(["text", "email", "number"]))')"
    case 9: return "\(e)::text ~ current_setting('g.token')"
    default: return "\(e)::text LIKE '%' || current_setting('g.token') || '%'"
    }
  }

  /// Of any type.
  mutating func expression(_ scope: Scope, _ depth: Int) -> String {
    let column = pick(scope.columns)
    let e = column.name
    if !scope.rows.isEmpty, chance(15) { return wholeRow(pick(scope.rows)) }
    if depth > 0, chance(8) {
      return "(SELECT \(pick(["max", "min", "count"]))(\(e)::text || s.email) FROM \(pick(["people", "events"])) s)"
    }
    if column.kind == .number, chance(30) {
      return pick([
        "abs(\(e))", "mod(\(e)::numeric, 7)", "\(e)::numeric + 0.0", "width_bucket(\(e)::numeric, 0, 1e9, 10)",
      ])
    }
    switch random.next() % 12 {
    case 0: return "upper(\(e)::text)"
    case 1: return "reverse(\(e)::text)"
    case 2: return "md5(\(e)::text)"
    case 3: return "length(\(e)::text)"
    case 4: return "CASE WHEN \(condition(scope, 0)) THEN \(e)::text ELSE 'no' END"
    case 5: return "to_jsonb(\(e))"
    case 6: return "format('%s/%L', \(e), \(e))"
    case 7: return "encode(convert_to(\(e)::text, 'UTF8'), 'hex')"
    case 8: return "ARRAY[\(e), \(e)]"
    case 9: return "coalesce(\(e)::text, 'none')"
    default: return e
    }
  }

  private mutating func wholeRow(_ row: String) -> String {
    pick([
      row, "\(row)::text", "to_jsonb(\(row))", "row_to_json(\(row))", "ROW(\(row).*)",
      "hash_record_extended(\(row), 1)::text",
      "xmlforest(\(row))", "num_nulls(\(row).*)", "(\(row) IS NULL)",
    ])
  }

  private mutating func aggregate(_ scope: Scope) -> String {
    let column = pick(scope.columns)
    let e = column.name
    if column.kind == .number, chance(40) {
      return pick([
        "sum(\(e)::numeric)", "avg(\(e)::numeric)", "stddev(\(e)::numeric)", "max(\(e))",
        "array_agg(\(e) ORDER BY \(e))",
      ])
    }
    return pick([
      "count(\(e))", "count(DISTINCT \(e)::text)", "max(\(e)::text)", "min(\(e)::text)", "json_agg(\(e))",
      "string_agg(\(e)::text, ',' ORDER BY \(e)::text)", "mode() WITHIN GROUP (ORDER BY \(e)::text)",
      "count(*) FILTER (WHERE \(condition(scope, 0)))", "bool_or(\(condition(scope, 0)))",
      "jsonb_object_agg(coalesce(\(e)::text, ''), 1)", "percentile_disc(0.5) WITHIN GROUP (ORDER BY \(e)::text)",
    ])
  }

  private mutating func window(_ scope: Scope) -> String {
    let (e, other) = (pick(scope.columns).name, pick(scope.columns).name)
    return pick([
      "lag(\(e)::text) OVER (ORDER BY \(e)::text)", "rank() OVER (ORDER BY \(other)::text)",
      "first_value(\(e)::text) OVER (PARTITION BY \(other)::text ORDER BY \(e)::text)",
      "ntile(3) OVER (ORDER BY \(e)::text)", "count(*) OVER (PARTITION BY \(e)::text)",
    ])
  }
}

// MARK: - SELECT

extension MaskedQueries {
  struct Select {
    let sql: String
    let width: Int
  }

  /// Columns c1 …, of type text where another SELECT reads them.
  mutating func select(_ depth: Int, asText: Bool = true) -> Select {
    if depth > 0, chance(12) { return union(depth) }
    if depth > 0, chance(10) { return common(depth) }
    let scope = from(depth)
    let filter = chance(55) ? " WHERE \(condition(scope, depth))" : ""
    if chance(20) { return grouped(scope, filter, asText) }
    let width = Int(1 + random.next() % 3)
    let list = (1...width).map { named(chance(12) ? window(scope) : expression(scope, depth), $0, asText) }
    let distinct = chance(10) ? "DISTINCT " : ""
    let order = distinct.isEmpty && chance(15) ? " ORDER BY \(pick(scope.columns).name)::text" : ""
    return Select(
      sql: "SELECT \(distinct)\(list.joined(separator: ", ")) FROM \(scope.sql)\(filter)\(order)", width: width)
  }

  private func named(_ expression: String, _ number: Int, _ asText: Bool) -> String {
    asText ? "(\(expression))::text AS c\(number)" : "\(expression) AS c\(number)"
  }

  private mutating func grouped(_ scope: Scope, _ filter: String, _ asText: Bool) -> Select {
    let list = [named(aggregate(scope), 1, asText), named(aggregate(scope), 2, asText)].joined(separator: ", ")
    guard chance(50) else { return Select(sql: "SELECT \(list) FROM \(scope.sql)\(filter)", width: 2) }
    let key = pick(scope.columns).name
    let having = chance(30) ? " HAVING count(DISTINCT \(pick(scope.columns).name)::text) > 1" : ""
    let sql = "SELECT \(list), \(key)::text AS c3 FROM \(scope.sql)\(filter) GROUP BY \(key)::text\(having)"
    return Select(sql: sql, width: 3)
  }

  private mutating func union(_ depth: Int) -> Select {
    let operation = pick(["UNION", "UNION ALL", "INTERSECT", "EXCEPT"])
    let sides = [from(depth - 1), from(depth - 1)].map { scope in
      "SELECT (\(expression(scope, 0)))::text AS c1 FROM \(scope.sql)"
    }
    return Select(sql: sides.joined(separator: " \(operation) "), width: 1)
  }

  private mutating func common(_ depth: Int) -> Select {
    let alias = alias()
    let inner = select(depth - 1)
    let scope = Scope(
      sql: alias, columns: (1...inner.width).map { Column(name: "\(alias).c\($0)", kind: .text) }, rows: [alias])
    let kind = pick(["", "MATERIALIZED ", "NOT MATERIALIZED "])
    return Select(
      sql: "WITH \(alias) AS \(kind)(\(inner.sql)) SELECT (\(expression(scope, 0)))::text AS c1 FROM \(alias)", width: 1
    )
  }

  /// Over one table, and over its masking view; `T` stands for either.
  mutating func ofOneTable() -> (table: String, sql: String) {
    let (table, columns) = pick(Self.tables)
    let scope = Scope(sql: "T t", columns: columns.map { $0.of("t") }, rows: ["t"])
    let list = (1...3).map { named(expression(scope, 0), $0, true) }.joined(separator: ", ")
    let filter = chance(60) ? " WHERE \(condition(scope, 0))" : ""
    return (table, "SELECT \(list) FROM T t\(filter)")
  }
}
