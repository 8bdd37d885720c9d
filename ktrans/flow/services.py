"""The services that IANA registered for ports, as far as they are common in flow logs.

Source: IANA, Service Name and Transport Protocol Port Number Registry. Ports that are not listed
have no name.
"""

from __future__ import annotations

from functools import cache

_BOTH = """
7 echo  9 discard  11 systat  13 daytime  17 qotd  18 msp  19 chargen  20 ftp-data  21 ftp  22 ssh
23 telnet  25 smtp  37 time  42 nameserver  43 nicname  49 tacacs  53 domain  67 bootps  68 bootpc
69 tftp  70 gopher  79 finger  80 http  88 kerberos  95 supdup  101 hostname  102 iso-tsap
107 rtelnet  109 pop2  110 pop3  111 sunrpc  113 auth  115 sftp  117 uucp-path  118 sqlserv
119 nntp  123 ntp  135 epmap  137 netbios-ns  138 netbios-dgm  139 netbios-ssn  143 imap  156 sqlsrv
161 snmp  162 snmptrap  163 cmip-man  164 cmip-agent  174 mailq  177 xdmcp  179 bgp  191 prospero
194 irc  199 smux  201 at-rtmp  202 at-nbp  204 at-echo  206 at-zis  209 qmtp  210 z39-50  213 ipx
220 imap3  259 esro-gen  264 bgmp  280 http-mgmt  318 pkix-timestamp  319 ptp-event  320 ptp-general
345 pawserv  346 zserv  347 fatserv  366 odmr  369 rpc2portmap  370 codaauth2  371 clearcase
383 hp-alarm-mgr  389 ldap  401 ups  406 imsp  427 svrloc  434 mobileip-agent  435 mobilip-mn
443 https  444 snpp  445 microsoft-ds  464 kpasswd  487 saft  496 pim-rp-disc  500 isakmp
515 printer  517 talk  518 ntalk  521 ripng  524 ncp  525 timed  530 courier  532 netnews  540 uucp
543 klogin  544 kshell  546 dhcpv6-client  547 dhcpv6-server  548 afpovertcp  554 rtsp  556 remotefs
563 nntps  587 submission  591 http-alt  593 http-rpc-epmap  601 syslog-conn  631 ipp  636 ldaps
639 msdp  646 ldp  648 rrp  666 doom  674 acap  683 corba-iiop  684 corba-iiop-ssl
691 msexch-routing  694 ha-cluster  698 olsr  700 epp  706 silc  711 cisco-tdp  749 kerberos-adm
765 webster  830 netconf-ssh  831 netconf-beep  847 dhcp-failover2  848 gdoi  853 domain-s
860 iscsi  861 owamp-control  862 twamp-control  873 rsync  888 accessbuilder  902 ideafarm-door
903 ideafarm-panic  989 ftps-data  990 ftps  991 nas  992 telnets  993 imaps  995 pop3s  1010 surf
1080 socks  1085 webobjects  1093 proofd  1094 rootd  1099 rmiregistry  1167 cisco-ipsla
1194 openvpn  1214 kazaa  1241 nessus  1270 opsmgr  1293 pkt-krb-ipsec  1311 rxmon
1337 menandmice-dns  1344 icap  1352 lotusnote  1414 ibm-mqseries  1433 ms-sql-s  1434 ms-sql-m
1494 ica  1512 wins  1521 ncube-lm  1524 ingreslock  1526 pdap-np  1533 virtual-places
1581 mil-2045-47001  1589 vqp  1645 sightline  1646 sa-msg-port  1649 kermit  1666 netview-aix-6
1701 l2tp  1718 h323gatedisc  1719 h323gatestat  1720 h323hostcall  1723 pptp  1755 ms-streaming
1761 cft-0  1801 msmq  1812 radius  1813 radius-acct  1863 msnp  1883 mqtt  1900 ssdp
1935 macromedia-fcs  1967 sns-quote  1985 hsrp  1998 x25-svc-port  2000 cisco-sccp  2049 nfs
2080 autodesk-nlm  2082 infowave  2083 radsec  2086 gnunet  2087 eli  2095 nbx-ser  2096 nbx-dir
2102 zephyr-srv  2103 zephyr-clt  2104 zephyr-hm  2119 gsigatekeeper  2121 scientia-ssdb
2123 gtp-control  2135 gris  2152 gtp-user  2181 eforward  2199 onehome-help  2222 ethernet-ip-1
2305 mt-scaleserver  2401 cvspserver  2404 iec-104  2427 mgcp-gateway  2430 venus  2447 ovwdb
2483 ttc  2484 ttc-ssl  2512 citrixima  2513 citrixadmin  2525 ms-v-worlds  2598 citriximaclient
2601 discp-client  2605 nsc-posa  2628 dict  2638 sybaseanywhere  2727 mgcp-callagent  2775 smpp
2809 corbaloc  2811 gsiftp  2869 icslap  2944 megaco-h248  2947 gpsd  2967 ssc-agent  3000 hbci
3050 gds-db  3074 xbox  3128 ndl-aas  3130 icpv2  3205 isns  3225 fcip-port  3260 iscsi-target
3268 msft-gc  3269 msft-gc-ssl  3283 net-assistant  3286 e-net  3306 mysql  3343 ms-cluster-net
3389 ms-wbt-server  3398 mercantile  3401 filecast  3478 stun  3493 nut  3527 beserver-msg-q
3535 ms-la  3544 teredo  3551 apcupsd  3632 distcc  3689 daap  3690 svn  3702 ws-discovery
3724 blizwow  3784 bfd-control  3785 bfd-echo  3880 igrs  4000 terabase  4031 suucp  4041 houston
4045 npp  4094 sysrqd  4118 netscript  4172 pcoip  4369 epmd  4444 krb524  4486 icms
4500 ipsec-nat-t  4569 iax  4664 ems  4672 rfa  4691 mtn  4739 ipfix  4740 ipfixs  4843 opcua-tls
4899 radmin-port  4949 munin  5000 commplex-main  5001 commplex-link  5002 rfe  5004 avt-profile-1
5005 avt-profile-2  5009 winfs  5050 mmcc  5051 ita-agent  5060 sip  5061 sips  5093 sentinel-lm
5151 esri-sde  5190 aol  5201 targus-getdata1  5223 hpvirtgrp  5298 presence  5308 cfengine
5349 stuns  5353 mdns  5354 mdnsresponder  5355 llmnr  5357 wsdapi  5358 wsdapi-s  5405 netsupport
5432 postgresql  5554 sgi-esphttp  5555 personal-agent  5556 freeciv  5601 esmagent
5631 pcanywheredata  5632 pcanywherestat  5671 amqps  5672 amqp  5688 ggz  5718 dpm  5721 dtpt
5722 msdfsr  5723 omhs  5900 rfb  5984 couchdb  5985 wsman  5986 wsmans  6000 x11  6066 ewctsp
6343 sflow  6346 gnutella-svc  6347 gnutella-rtr  6443 sun-sr-https  6444 sge-qmaster
6445 sge-execd  6514 syslog-tls  6515 elipse-rec  6543 lds-distrib  6566 sane-port  6619 odette-ftps
6620 kftp-data  6623 ktelnet  6653 openflow  6771 plysrv-https  7000 afs3-fileserver
7001 afs3-callback  7002 afs3-prserver  7003 afs3-vlserver  7004 afs3-kaserver  7005 afs3-volser
7070 arcp  7080 empowerid  7100 font-service  7121 virprot-lm  7400 rtps-discovery
7443 oracleas-https  7547 cwmp  7777 cbt  8000 irdmi  8005 mxi  8008 http-alt  8020 intu-ec-svcdisc
8053 senomix02  8080 http-alt  8081 sunproxyadmin  8083 us-srv  8086 d-s-n  8088 radan-http
8118 privoxy  8194 blp1  8200 trivnet1  8243 synapse-nhttps  8280 synapse-nhttp  8443 pcsync-https
8472 otv  8500 fmtp  8554 rtsp-alt  8600 asterix  8883 secure-mqtt  8899 ospf-lite  9000 cslistener
9001 etlservicemgr  9002 dynamid  9080 glrpc  9090 websm  9091 xmltec-xmlmail  9092 xmlipcregsvc
9100 pdl-datastream  9101 bacula-dir  9102 bacula-fd  9103 bacula-sd  9160 apani1  9200 wap-wsp
9418 git  9443 tungsten-https  9535 mngsuite  9667 xmms2  9800 davsrc  9987 dsm-scm-target
9999 distinct  10000 ndmp  10050 zabbix-agent  10051 zabbix-trapper  10080 amanda
10113 netiq-endpoint  11112 dicom  11211 memcache  11371 hkp  13720 bprd  13721 bpdbm  13724 vnetd
13782 bpcd  13783 vopied  15000 hydap  18000 biimenu  19999 dnp-sec  20000 dnp  24554 binkp
26000 quake  34962 profinet-rt  34963 profinet-rtm  34964 profinet-cm  34980 ethercat
44818 ethernet-ip-2  47808 bacnet
"""

_TCP = """
3 compressnet  78 vettcp  465 submissions  512 exec  513 login  514 shell  520 efs  623 oob-ws-http
750 rfile  1089 ff-annunc  2375 docker  2376 docker-s  2377 swarm  2379 etcd-client
2380 etcd-server  3300 ceph  3868 diameter  4190 sieve  4753 simon  4840 opcua-tcp
5007 wsm-server-ssl  5106 actifioudsagent  5222 xmpp-client  5228 hpvroom  5269 xmpp-server
5693 rbsystem  6379 redis  6513 netconf-tls  6600 mshvlm  6632 mxodbc-connect  6640 ovsdb  6667 ircu
6697 ircs-u  7474 neo4j  7687 bolt  8009 nvme-disc  8042 fs-agent  8091 jamlink  8140 puppet
8888 ddi-tcp-1  9389 adws  10809 nbd  10933 octopustentacle  17500 db-lsp
"""

_UDP = """
465 igmpv3lite  512 biff  513 who  514 syslog  520 router  623 asf-rmcp  664 asf-secure-rmcp
750 kerberos-iv  2055 iop  3222 glbp  3503 lsp-ping  3799 radius-dynauth  4753 simon-disc
4754 gre-in-udp  4755 gre-udp-dtls  4789 vxlan  4790 vxlan-gpe  4791 roce  4840 opcua-udp
5104 tinymessage  5246 capwap-control  5247 capwap-data  5351 pcp  5683 coap  5684 coaps  6080 gue
6081 geneve  6633 cisco-vpath-tun  6635 mpls-udp  6636 mpls-udp-dtls  6657 palcom-disc  8805 pfcp
8888 ddi-udp-1  9875 sapv1  17224 trdp-pd  17500 db-lsp-disc
"""

_SCTP = """
9 discard  20 ftp-data  21 ftp  22 ssh  80 http  179 bgp  443 https  1167 cisco-ipsla  2049 nfs
2225 rcip-itu  2904 m2ua  2905 m3ua  2944 megaco-h248  2945 h248-binary  3565 m2pa  3868 diameter
4739 ipfix  4740 ipfixs  5060 sip  5061 sips  5090 car  5672 amqp  5868 diameters  7626 simco
9082 lcs-ap  9084 aurora  9899 sctp-tunneling  9900 iua  14001 sua  25471 rna  29118 sgsap
29168 sbcap  29169 iuhsctpassoc  36412 s1-control  36422 x2-control  36443 m2ap  36444 m3ap
38412 ng-control  38422 xn-control  38462 e1-interface  38472 f1-control
"""

_DCCP = """
9 discard  1021 exp1  1022 exp2  5004 avt-profile-1  5005 avt-profile-2  6514 syslog-tls
"""


@cache
def registered_services() -> dict[tuple[int, int], str]:
    """Return the service names by protocol number and port; UDP-Lite has those of UDP (RFC 3828)."""
    found: dict[tuple[int, int], str] = {}
    for protocols, text in (
        ((6, 17, 136), _BOTH),
        ((6,), _TCP),
        ((17, 136), _UDP),
        ((132,), _SCTP),
        ((33,), _DCCP),
    ):
        words = text.split()
        for port, name in zip(words[::2], words[1::2], strict=True):
            found.update({(protocol, int(port)): name for protocol in protocols})
    return found
