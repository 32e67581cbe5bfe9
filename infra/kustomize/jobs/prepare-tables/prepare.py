"""What spark-submit starts: the command `reland`, whose tables are made by the session that Spark has configured."""

from reland.main import main

main()
