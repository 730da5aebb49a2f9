import Contract

/// What a policy could be about, whoever acts: asked where facts cost something to gather.
extension PolicyIndex {
  /// Could some rule decide about any of the classes on the object?
  func concerns(_ object: ObjectFacts, _ classes: WardenClasses) -> Bool {
    if anyObject.classes & classes != 0 || !databaseNames.isEmpty { return true }
    for ancestor in object.ancestors where isAbout(table(catalog: Catalog.relation, oid: ancestor), classes) {
      return true
    }
    return names(object, classes, bySchema: true)
  }

  /// Does some rule name the object itself, or its schema?
  func names(_ object: ObjectFacts, _ classes: WardenClasses, bySchema: Bool) -> Bool {
    if isAbout(table(catalog: object.catalog, oid: object.oid), classes) { return true }
    let byName = object.catalog == Catalog.function ? functionNames : relationNames
    if !byName.isEmpty, isAbout(byName.table(for: object.name), classes) { return true }
    guard bySchema else { return false }
    if object.schema != 0, isAbout(table(catalog: Catalog.schema, oid: object.schema), classes) { return true }
    guard !schemaNames.isEmpty, let schema = object.name.schema(isItself: object.catalog == Catalog.schema) else {
      return false
    }
    return isAbout(schemaNames.table(for: schema), classes)
  }

  /// The classes that no rule is about for the object.
  func unconcerned(_ object: ObjectFacts) -> WardenClasses {
    guard databaseNames.isEmpty else { return 0 }
    var concerned = anyObject.classes
    concerned |= table(catalog: object.catalog, oid: object.oid)?.classes ?? 0
    for ancestor in object.ancestors { concerned |= table(catalog: Catalog.relation, oid: ancestor)?.classes ?? 0 }
    concerned |= table(catalog: Catalog.schema, oid: object.schema)?.classes ?? 0
    let byName = object.catalog == Catalog.function ? functionNames : relationNames
    concerned |= byName.table(for: object.name)?.classes ?? 0
    if !schemaNames.isEmpty, let schema = object.name.schema(isItself: object.catalog == Catalog.schema) {
      concerned |= schemaNames.table(for: schema)?.classes ?? 0
    }
    // The labels of what becomes its child or parent may become its own.
    return ~(concerned | labelled.classes)
  }

  private func isAbout(_ table: RuleTable?, _ classes: WardenClasses) -> Bool {
    guard let table else { return false }
    return table.classes & classes != 0
  }
}
