#!/usr/bin/env python3
"""A Django project's migrations, up and down, on a governed database with a masked and a guarded table.

    django_project.py SOCKET_DIRECTORY PROJECT_DIRECTORY
"""
import os
import pathlib
import sys

socket, project = sys.argv[1:3]
APP = pathlib.Path(project) / "shop"

FIRST = """
from django.db import models

class Customer(models.Model):
    name = models.CharField(max_length=50)
    email = models.EmailField(unique=True)

class Order(models.Model):
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE)
    total = models.DecimalField(max_digits=10, decimal_places=2)
"""

SECOND = """
from django.db import models

class Customer(models.Model):
    full_name = models.CharField(max_length=80, db_index=True)
    email = models.EmailField(unique=True)
    active = models.BooleanField(default=True)

class Order(models.Model):
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT)
    total = models.DecimalField(max_digits=12, decimal_places=2, null=True)
    note = models.TextField(default="")

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(total__gte=0), name="not_negative")]
"""

RENAME = """
from django.db import migrations

class Migration(migrations.Migration):
    dependencies = [("shop", "0001_initial")]
    operations = [migrations.RenameField("customer", "name", "full_name")]
"""


def models(text):
    (APP / "models.py").write_text(text)
    for name in [n for n in sys.modules if n.startswith("shop")]:
        del sys.modules[name]


def run(*arguments, fails_with=None):
    """A command of manage.py, in a process of its own: models are read once."""
    import subprocess
    code = "import sys; from django.core.management import execute_from_command_line as e; e(['manage'] + sys.argv[1:])"
    done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=project, capture_output=True, text=True)
    output = done.stdout + done.stderr
    if fails_with is None and done.returncode != 0 or fails_with is not None and fails_with not in output:
        sys.exit(f"manage {' '.join(arguments)}:\n{output[-3000:]}")


def sql(text, role="postgres"):
    import psycopg2
    with psycopg2.connect(host=socket, user=role, dbname="django") as connection, connection.cursor() as cursor:
        cursor.execute(text)
        return cursor.fetchall() if cursor.description else None


def main():
    (APP / "migrations").mkdir(parents=True)
    for path in (APP / "__init__.py", APP / "migrations" / "__init__.py"):
        path.write_text("")
    (pathlib.Path(project) / "settings.py").write_text(
        "SECRET_KEY = 'x'\nUSE_TZ = True\nDEFAULT_AUTO_FIELD = 'django.db.models.BigAutoField'\n"
        "INSTALLED_APPS = ['shop']\n"
        "DATABASES = {'default': {'ENGINE': 'django.db.backends.postgresql', 'NAME': 'django', 'USER': 'shop_owner',"
        f" 'HOST': '{socket}'}}}}\n")
    os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
    sql("GRANT CREATE, USAGE ON SCHEMA public TO shop_owner; GRANT USAGE ON SCHEMA public TO analyst")

    models(FIRST)
    run("makemigrations", "shop")
    run("migrate")
    sql("INSERT INTO shop_customer (name, email) VALUES ('Ann RAW', 'ann@raw.example')", "shop_owner")
    sql("INSERT INTO shop_order (customer_id, total) VALUES (1, 10)", "shop_owner")
    sql("SELECT warden.mask('public.shop_customer.name', 'redact'), warden.mask('public.shop_customer.email', 'email')")
    sql("SELECT warden.guard('analysts look only', 'block', '{write}', '{public.*}', '{role:analyst}')")
    sql("GRANT ALL ON ALL TABLES IN SCHEMA public TO analyst")

    (APP / "migrations" / "0002_rename.py").write_text(RENAME)
    models(SECOND)
    run("makemigrations", "shop", "--name", "more", "--noinput")
    run("migrate")
    seen = sql("SELECT full_name, email FROM shop_customer", "analyst")
    assert seen == [("[redacted]", "a***@***.example")], seen
    # What drops a column asks for approval; the DBA lets the owner's migration pass.
    run("migrate", "shop", "0001", fails_with="destructive-ddl")
    sql("SELECT warden.guard('migrations', 'allow', '{drop,drop_column,truncate,update_all,delete_all}', '{public.*}', "
        "'{role:shop_owner}', priority => 1)")
    run("migrate", "shop", "0001")
    seen = sql("SELECT name, email FROM shop_customer", "analyst")
    assert seen == [("[redacted]", "a***@***.example")], seen
    run("migrate", "shop", "zero")
    run("migrate")
    assert sql("SELECT count(*) FROM shop_customer") == [(0,)]


if __name__ == "__main__":
    main()
