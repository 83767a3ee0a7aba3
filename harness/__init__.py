"""A whole mirror on one machine, and its judge, for the sandbox, tests, chaos and benchmarks.

    process      starts processes, waits for them, ends them
    redis, kafka servers for tests: Redis with Sentinels, Apache Kafka with one broker or three;
                 kafka_install brings its jars, and a Java where there is none; kafka_topics
                 makes and reads topics
    simulated    a simulator, and a client of its admin API, REST and sockets
    deployment   coordinator, listeners, janitor as processes, and ways to look at them; pages: what
                 they answer on their metrics ports
    ledger       reads what truly happened; oracle: what is missing, twice or invented; account: the
                 same for hours, in a file; views: what is wrong in a conversation's view
    sandbox      what `mirror sandbox` runs under one supervisord; embedded: the services in it;
                 guard: ends all of it when the sandbox is killed
    dashboard    a dashboard process and what tests feed it; browser: Chromium, by Selenium
    supervised   waiting for processes under supervisord
    traffic      frames like those of a contact centre; instructions: what a frame costs

Of the product, only `mirror sandbox` imports it.
"""
