import Contract
import Testing

@testable import Interceptor

/// No secret, and no part of one, reaches the audit; and the audit is not emptied for fear of one.
@Suite struct SecretsTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let statement: String
    let recorded: String
    init(_ statement: String, _ recorded: String) {
      self.statement = statement
      self.recorded = recorded
    }
    var testDescription: String { statement }
  }

  @Test(arguments: [
    Case("ALTER ROLE r PASSWORD 'hunter2'", "ALTER ROLE r PASSWORD '***'"),
    Case(
      "alter role r password'hunter2' valid until '2030-01-01'", "alter role r password'***' valid until '2030-01-01'"),
    Case("CREATE USER u ENCRYPTED PASSWORD E'hun\\'ter2' LOGIN", "CREATE USER u ENCRYPTED PASSWORD E'***' LOGIN"),
    Case("ALTER ROLE r PASSWORD U&'hunt\\0065r2'", "ALTER ROLE r PASSWORD U&'***'"),
    Case("ALTER ROLE r PASSWORD $$hunter2$$; SELECT 'x'", "ALTER ROLE r PASSWORD '***'; SELECT 'x'"),
    Case("ALTER ROLE r PASSWORD $a$hunter2$$x$a$", "ALTER ROLE r PASSWORD '***'"),
    Case("ALTER ROLE r PASSWORD /* c */ -- d\n 'hunter2'", "ALTER ROLE r PASSWORD /* c */ -- d\n '***'"),
    Case("ALTER ROLE r PASSWORD 'hun'\n'ter2'", "ALTER ROLE r PASSWORD '***'\n'***'"),
    Case("ALTER ROLE r PASSWORD 'hun''ter2' LOGIN", "ALTER ROLE r PASSWORD '***' LOGIN"),
    Case("ALTER ROLE r PASSWORD ''", "ALTER ROLE r PASSWORD '***'"),
    Case("ALTER ROLE r PASSWORD NULL; SELECT 'x'", "ALTER ROLE r PASSWORD NULL; SELECT 'x'"),
    Case("ALTER ROLE r PASSWORD 'hunter2", "ALTER ROLE r PASSWORD ***"),
    Case("ALTER ROLE r PASSWORD $$hunter2", "ALTER ROLE r PASSWORD ***"),
    Case("SELECT 1; ALTER ROLE r PASSWORD 'x\\'; SELECT 'hunter2'", "SELECT 1; ALTER ROLE r PASSWORD ***"),
    Case(
      "CREATE USER MAPPING FOR u SERVER s OPTIONS (user 'bob', password 'hunter2', x 'y')",
      "CREATE USER MAPPING FOR u SERVER s OPTIONS (user 'bob', password '***', x 'y')"),
    Case(
      "ALTER USER MAPPING FOR u SERVER s OPTIONS (SET \"password\" 'hunter2')",
      "ALTER USER MAPPING FOR u SERVER s OPTIONS (SET \"password\" '***')"),
    Case("ALTER ROLE r PASSWORD hunter2", "ALTER ROLE r PASSWORD ***"),
    Case("ALTER ROLE r PASSWORD \"hunter2\" LOGIN", "ALTER ROLE r PASSWORD *** LOGIN"),
    Case("ALTER ROLE r PASSWORD\u{A0}'hunter2'", "ALTER ROLE r PASSWORD\u{A0}'***'"),
    Case("SET x.password TO hunter2; SELECT 'x'", "SET x.password TO ***; SELECT 'x'"),
    Case("SET LOCAL warden . token = 'hunter2'", "SET LOCAL warden . token = '***'"),
    Case("SELECT 1 /* postgres://u:hunter2@h/db */", "SELECT 1 /* *** */"),
    Case("UPDATE u SET password = 'hunter2', name = 'bob'", "UPDATE u SET password = '***', name = 'bob'"),
    Case(
      "UPDATE u SET password = crypt('hunter2', gen_salt('bf')), name = 'bob' WHERE id = '5'",
      "UPDATE u SET password = crypt('***', gen_salt('***')), name = 'bob' WHERE id = '5'"),
    Case("SELECT password FROM u WHERE name = 'bob'", "SELECT password FROM u WHERE name = 'bob'"),
    Case("SELECT * FROM u WHERE password LIKE 'hunter2%'", "SELECT * FROM u WHERE password LIKE '***'"),
    Case(
      "SELECT * FROM u WHERE password = 'hunter2' AND a = 'b'", "SELECT * FROM u WHERE password = '***' AND a = 'b'"),
    Case(
      "INSERT INTO u (name, password) VALUES ('bob', 'hunter2'); SELECT 'x'",
      "INSERT INTO u (name, password) VALUES ('***', '***'); SELECT 'x'"),
    Case("SET password_encryption = 'md5'", "SET password_encryption = 'md5'"),
    Case("SELECT f(p_password => 'hunter2', n => 'x')", "SELECT f(p_password => '***', n => 'x')"),
    Case("SELECT f(p_password := 'hunter2')", "SELECT f(p_password := '***')"),
  ]) func inTheStatementItself(_ test: Case) {
    #expect(recorded(test.statement) == test.recorded)
  }

  @Test(arguments: [
    Case("SELECT dblink('host=h password=hunter2 user=u')", "SELECT dblink('host=h password=*** user=u')"),
    Case("SELECT dblink('host=h password = hunter2')", "SELECT dblink('host=h password = ***')"),
    Case("SELECT dblink('password=''hun ter2'' user=u')", "SELECT dblink('password=''***'' user=u')"),
    Case("SELECT dblink('password=hun\\ ter2 user=u')", "SELECT dblink('password=*** user=u')"),
    Case("SELECT dblink('sslpassword=hunter2')", "SELECT dblink('sslpassword=***')"),
    Case("SELECT dblink('postgres://u:hunter2@h/db')", "SELECT dblink('postgres://u:***@h/db')"),
    Case("SELECT dblink('postgres://u:hunter2@x@h/db')", "SELECT dblink('postgres://u:***@h/db')"),
    Case("SELECT dblink('postgres://h/db')", "SELECT dblink('postgres://h/db')"),
    Case("SELECT dblink($$host=h password=hunter2 user=u$$)", "SELECT dblink($$host=h password=*** user=u$$)"),
    Case("SELECT dblink($$host=h password='hun ter2' user=u$$)", "SELECT dblink($$host=h password='***' user=u$$)"),
    Case("SELECT dblink($$postgres://u:hunter2@h/db$$)", "SELECT dblink($$postgres://u:***@h/db$$)"),
    Case("SELECT f('{\"password\": \"hun\\\"ter2\", \"a\": 1}')", "SELECT f('{\"password\": ***, \"a\": 1}')"),
    Case("SELECT f($${\"password\": \"hunter2\", \"a\": 1}$$)", "SELECT f($${\"password\": ***, \"a\": 1}$$)"),
    Case(
      "CREATE SUBSCRIPTION s CONNECTION 'host=h password=hunter2' PUBLICATION p",
      "CREATE SUBSCRIPTION s CONNECTION 'host=h password=***' PUBLICATION p"),
    Case(
      "DO 'BEGIN ALTER ROLE r PASSWORD ''hunter2''; END'", "DO 'BEGIN ALTER ROLE r PASSWORD ''***''; END'"),
    Case(
      "DO $$BEGIN ALTER ROLE r PASSWORD 'hunter2'; PERFORM 'x'; END$$",
      "DO $$BEGIN ALTER ROLE r PASSWORD '***'; PERFORM 'x'; END$$"),
    Case(
      "DO $$BEGIN EXECUTE 'ALTER ROLE r PASSWORD ''hunter2'' LOGIN'; END$$",
      "DO $$BEGIN EXECUTE 'ALTER ROLE r PASSWORD ''***'' LOGIN'; END$$"),
    Case("SELECT 'enter the password please'", "SELECT 'enter the password please'"),
    Case("SELECT 'it''s a passport'", "SELECT 'it''s a passport'"),
  ]) func withinLiterals(_ test: Case) {
    #expect(recorded(test.statement) == test.recorded)
  }

  @Test(arguments: [
    Case("SELECT warden.sign_in('eyJhunter2.x.y')", "SELECT warden.sign_in('***')"),
    Case("select sign_in(token => 'hunter2', local => true)", "select sign_in(token => '***', local => true)"),
    Case("SELECT \"warden\".\"sign_in\"('hunter2')", "SELECT \"warden\".\"sign_in\"('***')"),
    Case("SET warden.token = 'hunter2'", "SET warden.token = '***'"),
    Case("SET warden.token TO 'hunter2'", "SET warden.token TO '***'"),
    Case("SELECT token FROM t WHERE token = 'abc'", "SELECT token FROM t WHERE token = 'abc'"),
    Case("SELECT set_config('warden.token', 'hunter2', false)", "SELECT set_config('***', '***', false)"),
  ]) func signInTokens(_ test: Case) {
    #expect(recorded(test.statement) == test.recorded)
  }

  /// It cannot be told what is secret in these; what must not be there is `hunter` and `ter2`.
  @Test(arguments: [
    "DO $$DECLARE p text := 'hunter2'; BEGIN EXECUTE 'ALTER ROLE r PASSWORD ' || quote_literal(p); END$$",
    "DO $$BEGIN EXECUTE format('ALTER ROLE r PASSWORD %L', 'hunter2'); END$$",
    "DO $$BEGIN EXECUTE 'ALTER ROLE r PASSWORD ''' || 'hunter2' || ''''; END$$",
    "DO 'BEGIN EXECUTE ''ALTER ROLE r PASSWORD ''''hunter2''''''; END'",
    "DO 'BEGIN EXECUTE ''ALTER ROLE r PASSWORD '' || quote_literal(''hunter2''); END'",
    "DO E'BEGIN ALTER ROLE r PASSWORD \\'hunter2\\'; END'",
    "DO E'BEGIN PERFORM \\'x\\'; ALTER ROLE r PASSWORD \\'hunter2\\'; END'",
    "DO 'BEGIN ALTER ROLE r PASSWORD $x$hunter2$x$; END'",
    "DO 'BEGIN ALTER ROLE r PASSWORD E''hunter2''; END'",
    "DO $a$BEGIN EXECUTE $b$ALTER ROLE r PASSWORD 'hunter2'$b$; END$a$",
    "DO $a$BEGIN EXECUTE $b$DO $c$BEGIN EXECUTE $d$DO $e$ALTER ROLE r PASSWORD 'hunter2'$e$ $d$; END$c$$b$; END$a$",
    "SELECT 'password=' || 'hunter2'",
    "SELECT 'password=hun' || 'ter2'",
    "SELECT 'password=hun'\n'ter2'",
    "SELECT $$password=ab'hunter2 user=x$$",
    "SELECT $$password=(hunter2)$$",
    "SELECT format('%s=%s', 'password', 'hunter2')",
    "/* ALTER ROLE r PASSWORD 'hunter2' */ SELECT 1",
    "-- ALTER ROLE r PASSWORD 'hunter2'\nSELECT 1",
    "-- don't use password 'hunter2'\nSELECT 1",
    "SELECT \"a'password 'hunter2' b\"",
    "ALTER ROLE \"r PASSWORD 'hunter2'",
    "ALTER ROLE r PASSWORD 'a' 'hunter2'",
    "ALTER ROLE r PASSWORD ('hunter2')",
    "SELECT $$it's$$; ALTER ROLE r PASSWORD 'hunter2'",
    "SELECT 'a\\'; ALTER ROLE r PASSWORD 'hunter2'",
    "EXECUTE 'SELECT warden.sign_in(''hunter2'')'",
    "SELECT '{\"password\":[\"hunter2\"]}'",
    "SELECT f('a' 'password', 'hunter2')",
    "ALTER ROLE a SET b = 'c; ALTER ROLE r PASSWORD 'hunter2'",
  ]) func nothingIsLeftWhereItIsUnclear(_ statement: String) throws {
    let text = try #require(recorded(statement))
    #expect(!text.contains("hunter") && !text.contains("ter2"), "\(text)")
  }

  @Test(arguments: [
    Case("CREATE ROLE r PASSWORD 'hunter2' VALID UNTIL 'x'", "CREATE ROLE r PASSWORD '***' VALID UNTIL '***'"),
    Case("F('a', $$b$$, $1, E'c\\'d', '')", "F('***', '***', $1, E'***', '***')"),
    Case("F('','','','','','','','','','','')", "F('***','***','***','***','***','***','***','***','***','***','***')"),
    Case("F('a', 'b", "F('***', '***"),
    Case("/* 'x' */ F(\"a'b\", 'c')", "/* *** */ F(\"a'b\", '***')"),
  ]) func everyLiteralGoesWhereTheParserSawASecret(_ test: Case) {
    #expect(recorded(test.statement, hasSecret: true) == test.recorded)
  }

  /// Wherever the limit falls, no part of the secret is kept.
  @Test(arguments: 0..<90) func noLimitCutsASecretOpen(_ limit: Int64) throws {
    let statement = "SELECT dblink('password=hunter2 x=y'); ALTER ROLE r PASSWORD 'hunter2' VALID UNTIL 'z'"
    let text = try #require(recorded(statement, limit: limit))
    #expect(!text.contains("hu"), "\(text)")
  }

  /// The quick question errs to yes only: at every offset, in every case.
  @Test(arguments: ["password", "PASSWORD", "passwd", "passfile", "Sign_In", "token", "://"])
  func theQuickQuestionMissesNothing(_ word: String) {
    let lender = Lender()
    for before in 0..<40 {
      for after in 0..<40 {
        let text = String(repeating: "x", count: before) + word + String(repeating: "y", count: after)
        #expect(Secrets.mayBe(in: ByteView(lender.text(text))), "\(text)")
      }
    }
    #expect(!Secrets.mayBe(in: ByteView(lender.text("SELECT abalance FROM pgbench_accounts WHERE aid = $1;"))))
  }

  /// Texts made to be slow to read take time in proportion to their length.
  @Test(
    .timeLimit(.minutes(1)),
    arguments: [
      "$$password:", "://", "'password=", "password", "\"password\"", "$a$", "/*", "'", "''", "E'\\", "warden.token",
      "$$password=x",
    ])
  func longTextsAreReadOnce(_ piece: String) {
    let text = "://password" + String(repeating: piece, count: 1_000_000 / piece.utf8.count)
    let lender = Lender()
    let view = ByteView(lender.text(text))
    var writer = ByteWriter(lender.memory(4_000_000), capacity: 4_000_000)
    Secrets.remove(from: view, everyLiteral: false, into: &writer)
    writer.rewind(to: 0)
    let within = ByteView(lender.text("$x$" + text + "($x$"))
    Secrets.remove(from: within, everyLiteral: false, into: &writer)
    #expect(writer.count <= within.count * 3)
  }

  /// Statements made of the pieces that matter: never a crash, never the secret after the keyword.
  @Test(arguments: 1...300) func randomPieces(_ seed: UInt64) throws {
    let pieces = [
      "'", "''", "\"", "$$", "$a$", "\\", "--", "/*", "*/", "\n", " ", "=", ":", "(", ")", ",", ";", "E'", "U&'", "%L",
      "password", "PASSWORD ", "sign_in(", "warden.token", "://", "@", "x", "||", "é", "\u{0}",
    ]
    var random = SeededGenerator(state: seed)
    var statement = ""
    for _ in 0..<Int.random(in: 1...60, using: &random) { statement += pieces.randomElement(using: &random)! }
    let text = try #require(recorded(statement))
    #expect(text.utf8.count <= statement.utf8.count * 3 + 100)
    // At the end of whatever came before, in code or in a literal that is closed by it.
    let clean = try #require(recorded(statement + "; ALTER ROLE r PASSWORD 'hunter2'"))
    #expect(!clean.contains("hunter2"), "\(statement) -> \(clean)")
  }
}
