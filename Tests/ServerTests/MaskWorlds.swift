/// Two schemas of the same tables with different data that masks make the same: what a masked subject can do gives the
/// same in both, or a bit of the real values shows. Every real value of some length carries a mark besides.
struct MaskWorlds {
  static let names = ["world_one", "world_two"]
  /// Who sees masks, and who owns the tables.
  static let reader = "masked_reader"
  static let owner = "world_owner"

  /// In texts; in what is made of digits.
  let token: String
  let number: Int

  init(_ random: inout SplitMix) {
    token = "QX" + String((0..<7).map { _ in Character(UnicodeScalar(UInt8.random(in: 71...90, using: &random))) })
    number = Int.random(in: 700_000...999_999, using: &random)
  }

  /// As the server prints them, however the generator has turned them around.
  private var marks: [String] {
    let low = token.lowercased()
    let hex = { (text: String) in text.utf8.map { String($0, radix: 16) }.joined() }
    return [low, String(low.reversed()), hex(low), hex(token), String(number), "\(number / 10)-0"]
  }

  /// The mark that stands in the text; nil where there is none.
  func mark(in text: String) -> String? {
    let plain = text.lowercased()
    // $831,245,101.00; 2001:db8:8312:45::1; 83:12:45:00:00:01
    let joined = plain.filter { $0 != "," && $0 != ":" }
    return marks.first { plain.contains($0) || joined.contains($0) }
  }

  /// Before the tables, as a superuser.
  static let roles = """
    DO $$DECLARE wanted text; BEGIN
      FOREACH wanted IN ARRAY ARRAY['\(reader)', '\(owner)'] LOOP
        IF to_regrole(wanted) IS NULL THEN EXECUTE format('CREATE ROLE %I LOGIN', wanted); END IF;
      END LOOP; END$$;
    """

  /// What the reader guesses: real values of the first world, which no statement says.
  var guesses: [String] {
    [
      "-c g.token=\(token)", "-c g.text=\(text(0, 2))", "-c g.email=a\(text(0, 2))@raw.example",
      "-c g.number=\(value(0, 2))",
    ]
  }

  /// Rises in one world, falls in the other, where some are equal: order, distinctness and equality differ.
  private func value(_ world: Int, _ row: Int) -> Int {
    number * 1000 + (world == 0 ? 100 + row : 900 - row)
  }

  private func text(_ world: Int, _ row: Int) -> String { "\(token)\(value(world, row) % 1000)" }
}

// MARK: - Tables

extension MaskWorlds {
  static let rows = 1...6

  /// SQL for one world: run by a superuser.
  func make(_ world: Int) -> String {
    let schema = Self.names[world]
    return """
      CREATE SCHEMA \(schema) AUTHORIZATION \(Self.owner);
      GRANT USAGE, CREATE ON SCHEMA \(schema) TO \(Self.reader);
      SET ROLE \(Self.owner); SET search_path = \(schema);
      \(Self.tables)
      \(Self.rows.map { fill(world, $0) }.joined(separator: "\n"))
      \(Self.roads)
      GRANT ALL ON ALL TABLES IN SCHEMA \(schema) TO \(Self.reader);
      REVOKE ALL ON granted FROM \(Self.reader);
      GRANT SELECT (id, email), UPDATE (id), INSERT ON granted TO \(Self.reader);
      RESET ROLE; RESET search_path;
      \(Self.masks.map { "SELECT warden.mask('\(schema).\($0)', \($1));" }.joined(separator: "\n"))
      """
  }

  private static let tables = """
    CREATE DOMAIN word AS text; CREATE TYPE mood AS ENUM ('glad', 'sad');
    CREATE TABLE people (id int PRIMARY KEY, name text, email text UNIQUE, phone varchar(40), age int CHECK (age > 0),
      born date, salary numeric, seen timestamptz, pass bytea, doc jsonb, tags text[], addr inet, ref uuid, ok boolean,
      note text NOT NULL, city text);
    CREATE INDEX ON people (born); CREATE INDEX ON people (lower(email));
    CREATE TABLE measures (id int PRIMARY KEY, person_id int REFERENCES people, v float8, m money, b bigint, p point,
      r int4range, x xml, iv interval, w word, c char(20), nums int[], feels mood, mac macaddr, ts tsvector, vb varbit,
      bx box, j json, tm time, sm int2, nm name);
    CREATE TABLE events (id int, kind int NOT NULL, email text, who int) PARTITION BY LIST (kind);
    CREATE TABLE events_1 PARTITION OF events FOR VALUES IN (1);
    CREATE TABLE events_2 PARTITION OF events FOR VALUES IN (0, 2);
    CREATE TABLE vehicles (id int, owner text, wheels int); CREATE TABLE cars (plate text) INHERITS (vehicles);
    CREATE TABLE notes (id int PRIMARY KEY, person_id int, note text, n int);
    CREATE TABLE secured (id int, email text, level int);
    ALTER TABLE secured ENABLE ROW LEVEL SECURITY;
    CREATE POLICY low ON secured TO \(reader) USING (level < 3 AND email IS NOT NULL);
    CREATE TABLE granted (id int, email text, hidden text);
    """

  /// The last row is NULL wherever it may be.
  private func fill(_ world: Int, _ row: Int) -> String {
    let (n, t) = (value(world, row), text(world, row))
    let (year, same) = (number / 10, world == 0 ? t : text(1, row / 2))
    let day = world == 0 ? row : 29 - row
    guard row < 6 else { return "INSERT INTO people (id, note) VALUES (6, ''); INSERT INTO measures (id) VALUES (6);" }
    return """
      INSERT INTO people VALUES (\(row), '\(same)', 'a\(t)@raw.example', '+1\(t)9', \(n), '\(year)-05-\(day)',
        \(n).25, '\(year)-05-\(day) 12:00+00', '\\x\(n)0', '{"k": "\(t)", "n": \(n)}', '{\(t),\(same)}',
        '2001:db8:\(number / 100):\(number % 100)00::\(n % 1000)', '\(number)00-0000-0000-0000-000000\(number)',
        \((row + world).isMultiple(of: 2)), 'n\(row)', 'c\(row % 3)');
      INSERT INTO measures VALUES (\(row), \(row), \(n).5, '\(n)', \(n)000, '(\(n),1)', '[\(n),\(n + 1))',
        '<a>\(t)</a>',
        '\(n) days', '\(t)', '\(t)', '{\(n),\(n)}', '\((row + world).isMultiple(of: 2) ? "glad" : "sad")',
        '\(number / 10000):\(number / 100 % 100):\(number % 100):00:00:\(day + 10)', '\(t)', B'\(String(n, radix: 2))',
        '(\(n),1),(0,0)', '{"k": "\(t)"}', '12:00:\(day + 10)', \(n % 1000), '\(t)');
      INSERT INTO events VALUES (\(row), \(row % 3), 'a\(t)@raw.example', \(row));
      INSERT INTO vehicles VALUES (\(row), '\(same)', 2); INSERT INTO cars VALUES (1\(row), '\(t)', 4, 'p\(row)');
      INSERT INTO notes VALUES (\(row), \(row), 'n\(row)', \(row * 10));
      INSERT INTO secured VALUES (\(row), '\(t)', \(row)); INSERT INTO granted VALUES (\(row), '\(t)', '\(t)');
      """
  }

  /// The owner's views and functions.
  private static let roads = """
    CREATE VIEW v_people AS SELECT * FROM people;
    CREATE VIEW v_invoker WITH (security_invoker) AS SELECT * FROM people WHERE id < 6;
    CREATE VIEW v_barrier WITH (security_barrier) AS SELECT * FROM v_people WHERE id > 1;
    CREATE FUNCTION f_people() RETURNS SETOF people STABLE LANGUAGE sql AS 'SELECT * FROM people';
    CREATE FUNCTION f_atomic() RETURNS SETOF people LANGUAGE sql BEGIN ATOMIC SELECT * FROM people; END;
    CREATE FUNCTION f_definer() RETURNS SETOF people SECURITY DEFINER LANGUAGE plpgsql AS
      'BEGIN RETURN QUERY SELECT * FROM people; END';
    CREATE FUNCTION f_email(wanted int) RETURNS text STABLE SECURITY DEFINER LANGUAGE sql AS
      'SELECT email FROM people WHERE id = wanted';
    """

  /// Methods that make the same of both worlds.
  private static let masks: [(String, String)] =
    ["email", "phone"].map {
      ("people.\($0)", $0 == "email" ? "'email'" : "'partial', '{\"prefix\": 2, \"suffix\": 1, \"fill\": \"***\"}'")
    }
    + ["name", "age", "born", "salary", "seen", "pass", "doc", "tags", "addr", "ref", "ok"].map {
      ("people.\($0)", "NULL")
    }
    + ["v", "m", "b", "p", "r", "x", "iv", "w", "c", "nums", "feels", "mac", "ts", "vb", "bx", "j", "tm", "sm", "nm"]
    .map { ("measures.\($0)", "NULL") } + [("events.email", "'email'"), ("vehicles.owner", "NULL")]
    + [("secured.email", "'redact'"), ("granted.email", "'redact'"), ("granted.hidden", "'redact'")]
}
