/// The doors that a query of `MaskedQueries` goes through, and statements that write.
extension MaskedQueries {
  mutating func round() -> Round {
    let query = select(2, asText: chance(40)).sql
    switch random.next() % 24 {
    case 0...4: return Round(door: "query", steps: [query])
    case 5, 6: return Round(door: "prepared by the protocol", steps: [query], isPrepared: true)
    case 7: return Round(door: "PREPARE", steps: ["DEALLOCATE ALL", "PREPARE p AS \(query)", "EXECUTE p", "EXECUTE p"])
    case 8:
      return Round(
        door: "cursor", steps: ["DECLARE c SCROLL CURSOR FOR \(query)", "FETCH 2 FROM c", "FETCH ALL FROM c"])
    case 9: return Round(door: "COPY", steps: ["COPY (\(query)) TO STDOUT\(pick(["", " (FORMAT csv)"]))"])
    case 10: return copy()
    case 11: return stored(query)
    case 12: return ownView(query)
    case 13: return ownFunction(query)
    case 14: return block(query)
    case 15: return explained(query)
    case 16: return systemColumns()
    case 17: return failing()
    case 18: return asXML(query)
    default: return write()
    }
  }

  private mutating func copy() -> Round {
    let table = pick([
      "people", "measures", "secured", "events_1", "cars", "granted (id, email)", "people (email, born)",
    ])
    return Round(door: "COPY of a table", steps: ["COPY \(table) TO STDOUT\(pick(["", " (FORMAT csv, HEADER)"]))"])
  }

  private mutating func stored(_ query: String) -> Round {
    let make = pick(["CREATE TABLE loot AS", "CREATE TEMP TABLE loot AS", "CREATE MATERIALIZED VIEW loot AS"])
    return Round(
      door: "stored", steps: ["\(make) \(query)", "SELECT loot::text FROM loot", "COPY (TABLE loot) TO STDOUT"])
  }

  private mutating func ownView(_ query: String) -> Round {
    let options = pick(["", " WITH (security_barrier)", " WITH (security_invoker)"])
    return Round(
      door: "own view",
      steps: ["CREATE \(pick(["", "TEMP "]))VIEW w\(options) AS \(query)", "SELECT w::text, * FROM w"])
  }

  private mutating func ownFunction(_ query: String) -> Round {
    let rights = pick(["", "SECURITY DEFINER "])
    let rows = "SELECT to_jsonb(q) FROM (\(query)) q"
    let body = pick([
      "LANGUAGE sql BEGIN ATOMIC \(rows); END", "STABLE LANGUAGE sql AS $f$\(rows)$f$",
      "LANGUAGE plpgsql AS $f$BEGIN RETURN QUERY \(rows); END$f$",
      "LANGUAGE plpgsql AS $f$BEGIN RETURN QUERY EXECUTE $q$\(rows)$q$; END$f$",
    ])
    let schema = pick(["", "pg_temp."])
    return Round(
      door: "own function",
      steps: ["CREATE FUNCTION \(schema)f() RETURNS SETOF jsonb \(rights)\(body)", "SELECT \(schema)f()"])
  }

  private mutating func block(_ query: String) -> Round {
    let raise = pick(["NOTICE", "WARNING", "EXCEPTION"])
    return Round(
      door: "RAISE \(raise)",
      steps: [
        """
        DO $d$DECLARE r record; BEGIN
          FOR r IN \(query) LOOP RAISE \(raise) '%', r USING DETAIL = to_jsonb(r)::text; END LOOP; END$d$
        """
      ])
  }

  private mutating func explained(_ query: String) -> Round {
    let options = pick(["VERBOSE", "ANALYZE, VERBOSE", "ANALYZE, BUFFERS, WAL, SETTINGS", "FORMAT json, ANALYZE"])
    return Round(door: "EXPLAIN", steps: ["EXPLAIN (\(options)) \(query)"], isComparable: false)
  }

  private mutating func systemColumns() -> Round {
    let lock = pick(["", " FOR UPDATE", " FOR KEY SHARE", " FOR SHARE SKIP LOCKED"])
    let table = pick(["people", "events", "vehicles", "measures"])
    return Round(
      door: "system columns", steps: ["SELECT t, t.ctid, t.xmin, t.tableoid::regclass, t.* FROM \(table) t\(lock)"],
      isComparable: false)
  }

  /// Errors that tell a value.
  private mutating func failing() -> Round {
    let scope = from(0)
    let e = pick(scope.columns).name
    let wrong = pick([
      "\(e)::text::int", "\(e)::text::date", "1 / (length(\(e)::text) - length(\(e)::text))", "\(e)::text::xml",
      "\(e)::text::inet", "\(e)::text::uuid", "\(e)::text::jsonb", "to_regclass(\(e)::text)::oid::regclass::text::int",
    ])
    return Round(door: "failing", steps: ["SELECT \(wrong) FROM \(scope.sql)"])
  }

  private func asXML(_ query: String) -> Round {
    Round(door: "query_to_xml", steps: ["SELECT query_to_xml($x$\(query)$x$, true, false, '')"])
  }
}

// MARK: - Writes

extension MaskedQueries {
  /// Of `target t`: what its masks hide comes back masked, and what would read it is refused.
  private mutating func write() -> Round {
    let (table, columns) = pick(Self.tables)
    let scope = Scope(sql: table, columns: columns.map { $0.of("t") }, rows: ["t"])
    let back = "RETURNING \(expression(scope, 0)), \(expression(scope, 0))"
    let id = Int(1 + random.next() % 6)
    switch random.next() % 8 {
    case 0: return Round(door: "UPDATE", steps: ["UPDATE \(table) t SET \(unmasked(table)) WHERE t.id = \(id) \(back)"])
    case 1: return Round(door: "DELETE", steps: ["DELETE FROM \(table) t WHERE t.id = \(id) \(back)"])
    case 2:
      return Round(
        door: "UPDATE by a condition",
        steps: ["UPDATE \(table) t SET \(unmasked(table)) WHERE \(condition(scope, 0)) \(back)"])
    case 3: return Round(door: "UPDATE … FROM", steps: [updateFrom(), "SELECT * FROM notes ORDER BY id"])
    case 4: return insertSelect()
    case 5: return merge()
    case 6: return upsert()
    default: return Round(door: "constraint", steps: [violation(id)])
    }
  }

  private func unmasked(_ table: String) -> String {
    switch table {
    case "people": "note = note || '!', city = 'x'"
    case "measures": "person_id = 2"
    case "events": "who = 0"
    case "vehicles": "wheels = 9"
    default: "level = 1"
    }
  }

  private mutating func updateFrom() -> String {
    let scope = from(0)
    return """
      UPDATE notes SET note = (\(expression(scope, 0)))::text FROM \(scope.sql)
       WHERE notes.id = 2 AND \(condition(scope, 0)) RETURNING notes.note
      """
  }

  private mutating func insertSelect() -> Round {
    let scope = from(1)
    return Round(
      door: "INSERT … SELECT",
      steps: [
        """
        INSERT INTO notes (id, note) SELECT 10 + row_number() OVER (), (\(expression(scope, 0)))::text FROM \(scope.sql)
        RETURNING *
        """
      ])
  }

  private mutating func merge() -> Round {
    let scope = from(0)
    return Round(
      door: "MERGE",
      steps: [
        """
        MERGE INTO notes n USING \(scope.sql) ON n.id::text = \(pick(scope.columns).name)::text
        WHEN MATCHED THEN UPDATE SET note = (\(expression(scope, 0)))::text
        """, "SELECT * FROM notes ORDER BY id",
      ])
  }

  private mutating func upsert() -> Round {
    let returned = pick(["*", "people", "email, name", "to_jsonb(people)"])
    let change = pick(["city = excluded.city", "note = excluded.note", "city = people.email"])
    return Round(
      door: "upsert",
      steps: [
        """
        INSERT INTO people (id, note, city) VALUES (\(pick([1, 2, 9])), 'u', 'v')
        ON CONFLICT (id) DO UPDATE SET \(change) RETURNING \(returned)
        """
      ])
  }

  private mutating func violation(_ id: Int) -> String {
    pick(Self.violations).replacing("ID", with: "\(id)")
  }

  /// The server would tell the row that breaks a constraint. None is over a masked column alone: whether a value is taken is
  /// something that keys do tell.
  private static let violations = [
    "INSERT INTO people (id, note) VALUES (ID, '')", "DELETE FROM people WHERE id = ID",
    "UPDATE measures SET person_id = 99 WHERE id = ID", "UPDATE people SET id = 2 WHERE id = ID",
    "UPDATE people SET note = NULL WHERE id = ID", "UPDATE people SET age = -1 WHERE id = ID",
    "UPDATE events SET kind = 9 WHERE id = ID", "UPDATE people SET age = -ID, note = 'x' WHERE id = ID RETURNING *",
  ]
}
