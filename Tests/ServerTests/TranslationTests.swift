import Testing

extension ServerTests {
  /// Refusals in the language of lc_messages; the audit keeps English.
  @Suite struct TranslationTests {
    /// A folder with a German locale, made from the sources that Debian's package `locales` has; nil where it is not there.
    private static let locales: String? = {
      guard let directory = try? ServerUser.makeDirectory(),
        (try? ServerUser.run(["localedef", "-i", "de_DE", "-f", "UTF-8", directory + "/de_DE.UTF-8"])) != nil
      else { return nil }
      return directory
    }()

    private nonisolated(unsafe) static let suiteShop = Result {
      let cluster = try Cluster(
        [Clusters.preload, "lc_messages = 'de_DE.UTF-8'"], environment: ["LOCPATH=\(locales ?? "")"])
      return try Shop(cluster, database: "translation")
    }

    @Test(.enabled(if: locales != nil, "no German locale can be made here"))
    func refusalsAreGerman() throws {
      let shop = try Self.suiteShop.get()
      try shop.refill()
      let analyst = try shop.connect("analyst")
      let error = analyst.error("DELETE FROM shop.orders")
      #expect(error?.sqlstate == "42501")
      #expect(error?.message == "DELETE aller Zeilen von shop.orders ist gesperrt")
      #expect(error?.detail == "Guard „whole-table-dml“ sperrt update_all, delete_all; dies ist delete_all.")
      #expect(error?.hint == "Wählen Sie mit WHERE die Zeilen aus, die gelöscht werden sollen.")
      #expect(analyst.error("DO 'BEGIN DELETE FROM shop.orders; END'")?.message == error?.message)
      let records = try shop.audit(where: "sqlstate = '42501'")
      #expect(records.count == 3)
      #expect(records.allSatisfy { $0["error"] == "DELETE of all rows of shop.orders is blocked" }, "\(records)")
    }

    @Test(.enabled(if: locales != nil, "no German locale can be made here"))
    func errorsOfDefinitionsAreGerman() throws {
      let admin = try Self.suiteShop.get().connect()
      let error = admin.error("SELECT warden.guard('g', 'deny', '{read}')")
      #expect(error?.sqlstate == "22023")
      #expect(error?.message == "ungültige Aktion „deny“")
      #expect(error?.hint == "Zulässig: block, require_approval, alert, allow.")
      let other = admin.error("SELECT warden.guard(NULL, 'block', '{read}')")
      #expect(other?.message == "Argument „name“ darf nicht NULL sein")
    }
  }
}
